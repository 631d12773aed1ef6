//go:build race

package report_test

// The race detector keeps a shadow of all memory, and takes its time.
const memoryFactor = 4
