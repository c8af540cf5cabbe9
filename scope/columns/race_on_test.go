//go:build race

package columns_test

// tables is how many tables are made and counted: a fifth of what is made without the race detector, which
// looks at the goroutines that count, and they are the same for each table.
const tables = 20
