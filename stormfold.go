// Package stormfold is the function as the func tooling sees it: it looks for New, and for nothing else, in the Go
// files of the module's root. The program begins in package function.
package stormfold

import "github.com/stormfold/stormfold/function"

// New returns the function that func-go's service starts, asks for its health, hands events to, and stops.
func New() *function.Function { return function.New() }
