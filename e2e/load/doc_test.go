// Package load_test puts hallmark-verify serve, as a process of its own, under load: a
// short one in each run, and a long one by `make soak`.
//
//	HALLMARK_VERIFY=bin/hallmark-verify go test -count=1 -v ./load
//	HALLMARK_SOAK=10m … -run Soak -timeout 20m
//
// The client shares the machine with the server. It writes prepared bytes on kept
// connections and reads as little as it can, so that what is measured is the server.
package load_test
