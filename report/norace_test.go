//go:build !race

package report_test

const memoryFactor = 1
