// Package containers is the rig: it runs the real engine and a runtime in
// Docker containers, kills them and brings them back, and records what became
// of each.
//
// A [Session] holds what a process shares: the connection to Docker, the
// reaper that cleans up after a process that was killed, the host ports. A
// [Cell] is one engine and one runtime on a network, a volume and ports of
// their own: the unit of isolation.
//
// Each party lives in a sandbox, as containers do in a Kubernetes pod: a
// small container of ours holds the network namespace, with its address, its
// alias and its published ports, and the party's own container joins it. So
// the party is PID 1 of its own PID namespace and can be killed and restarted
// at will, while addresses and ports stay, and while the sandbox has taken
// away the default route: there is no way from a cell to any other machine.
package containers
