package functions

import "testing"

func TestOtherRuntime(t *testing.T) {
	s := &Service{sdk: &sdkCache{version: func() int { return 20 }}}
	s.pythons.probed = map[string]interpreter{"python3\x00/app": {path: "/usr/bin/python3", minor: 12}}
	for _, tt := range []struct{ runtime, program, want string }{
		{"nodejs20.x", "/bin/node", ""},
		{"nodejs8.10", "/bin/node", "Node.js 20"},
		{"nodejs22.x", "/bin/node", "Node.js 20"},
		{"nodejs", "/bin/node", ""}, // it says no version
		{"python3.12", "/usr/bin/python3", ""},
		{"python3.9", "/usr/bin/python3", "Python 3.12"},
		{"python3.9", "/usr/bin/unknown", ""},
		{"provided.al2023", "", ""},
	} {
		if got := s.otherRuntime(tt.runtime, tt.program); got != tt.want {
			t.Errorf("%s by %s: %q, want %q", tt.runtime, tt.program, got, tt.want)
		}
	}
}
