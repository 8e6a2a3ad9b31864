package intercept

// lock does nothing: files are replaced in one step, and the later of two
// authorities made at the same time stays.
func lock(string) (func(), error) { return func() {}, nil }

// private does nothing: the folder's access list keeps others out.
func private(string) error { return nil }
