// Package envoy is the runtime's side of Rivet's envoy protocol: what a
// process needs in order to host actors for a Rivet engine, versions 2.3.5 to
// 2.3.19.
//
// The engine calls the runtime over HTTP ([Runtime.Handler]); the first call
// of POST /start makes the runtime open its WebSocket to the engine, the envoy
// connection, over which everything else goes: commands, events, KV, SQL,
// tunnelled HTTP requests and WebSockets.
//
// # Life of the connection
//
// The runtime sends its metadata, waits for the engine's Init and then sends
// again every event that the engine did not acknowledge, the Stopped of
// generations that are gone included; the engine drops those it knows. When
// the connection ends, the [ReconnectPolicy] says when to dial again. An
// eviction (close 1000 "ws.eviction": another process connected under the same
// key) ends the connection for good. So does a policy that gives up, until the
// next POST /start.
//
// Actors survive a lost connection. If it stays away for longer than the lost
// threshold of Init (15 s unless the engine is configured otherwise; 10 s
// before the first Init, as in Rivet's client), [Config.Lost] says what becomes
// of them: unless it is configured otherwise, every actor is stopped with
// reason [wire.StopLost] and its Stopped, with an error, is sent after the next
// Init. No timeout of ours ends a connection that is silent: neither does
// Rivet's client have one.
//
// # Queues
//
// Nothing an actor does holds up the reading of the connection. Every queue is
// bounded, and what happens when it is full is this:
//
//   - messages to be written: producers of bodies and WebSocket messages wait
//     above 4 MiB; above 256 MiB, which takes an engine that has stopped
//     reading, the connection is closed and counts as lost
//   - answers kept for the next connection: above 64 MiB further ones are dropped
//   - the body of one request: above 32 MiB not yet read by the actor, reading it fails
//   - messages of one WebSocket: above 4096 or 32 MiB not yet read by the actor,
//     it is closed with code 1011
//
// # History
//
// What happens is recorded as it happens, so that an outage can be accounted
// for afterwards. history.Envoy: "dialing", "connected", "init", "closed" (Code
// is 0 where the connection broke without a close frame, or was never made),
// "backoff" (Attempt is the retry that follows, WaitNS the wait before it),
// "gave-up", "evicted", "answer-dropped", "drained". Attempt otherwise counts
// from the start that made the runtime dial.
//
// history.Actor: "start" (Reason says which way it came), "running", "intent",
// "sleep", "stop" and "lost" (a stop begins; Reason is the engine's), "abort",
// "panic" (with the stack), "stopped"; and of what was not done, "replayed" (a
// command that was carried out before), "outdated" (a start of a generation
// older than one seen), "unknown" (a stop of a generation that is not here),
// "not-here" (a request that could not be served).
package envoy
