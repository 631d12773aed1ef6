package containers

import "github.com/killpoint/killpoint/internal/reaper"

// SessionLabel is the label that everything a session makes in the daemon
// carries; its value is the session's id.
const SessionLabel = reaper.SessionLabel
