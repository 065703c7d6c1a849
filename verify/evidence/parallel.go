package evidence

import "sync"

// parallel calls do for 0 to n-1, at most limit at a time, and returns when all
// have returned. A panic in one of them is raised again in the caller, so that
// whoever answers for the search can recover it.
func parallel(n, limit int, do func(i int)) {
	var (
		wait  sync.WaitGroup
		once  sync.Once
		fault any
		next  = make(chan int)
	)
	for range min(n, limit) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range next {
				func() {
					defer func() {
						if p := recover(); p != nil {
							once.Do(func() { fault = p })
						}
					}()
					do(i)
				}()
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
	if fault != nil {
		panic(fault)
	}
}
