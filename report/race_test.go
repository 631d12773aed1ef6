//go:build race

package report_test

// The race detector keeps a shadow of all memory.
const memoryFactor = 4
