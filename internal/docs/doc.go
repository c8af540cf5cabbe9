// Package docs holds no code: its tests keep the documents true. They check that every promise has
// its row and every row its tests, that links, paths, symbols, commands and HTTP routes named in a
// document exist, and that the policies and configurations shown in one are accepted.
//
// Run the tests with -update to write the test column of docs/promises.md anew.
package docs
