// This file is laid over cmd/stormfold for profiles: the program that is shipped has no such listener.

package main

import (
	"fmt"
	"net/http"
	_ "net/http/pprof"
	"os"
)

func init() {
	go func() {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("BENCH_PPROF_ADDRESS"), nil))
	}()
}
