// Package rivetkit speaks the protocol between RivetKit's clients and an
// actor: calls by HTTP and over a connection, in all three encodings, for
// both ends. It is what lets any RivetKit client call the fixture's actor,
// and the harness call any RivetKit application.
//
// The protocol is that of RivetKit 2.3, versions 3 and 4 (the schemas are in
// Rivet's repository under rivetkit-rust/packages/client-protocol/schemas).
// Queues and events are not part of it here.
package rivetkit
