package gate

import "sync"

// parallel calls do for 0 to n-1 at once and returns when all have returned; what
// each of them asks of a registry is bounded by the client's connections. A panic
// is raised again in the caller, who answers for the image.
func parallel(n int, do func(i int)) {
	var (
		wait  sync.WaitGroup
		once  sync.Once
		fault any
	)
	for i := range n {
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer func() {
				if p := recover(); p != nil {
					once.Do(func() { fault = p })
				}
			}()
			do(i)
		}()
	}
	wait.Wait()
	if fault != nil {
		panic(fault)
	}
}
