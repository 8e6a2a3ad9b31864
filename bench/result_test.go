package main

import (
	"math"
	"testing"
)

func TestSummaryComparesWithinARound(t *testing.T) {
	at := func(target string, run int, cost float64, aborted string) *Result {
		return &Result{Test: testRoute, Target: target, Clients: 64, Run: run, Values: map[string]float64{"cpu_us_per_message": cost}, Aborted: aborted}
	}
	sums := summarize([]*Result{
		at(tidegateName, 1, 10, ""), at(nginxName, 1, 8, ""),
		at(tidegateName, 2, 30, ""), at(nginxName, 2, 20, ""),
		at(tidegateName, 3, 11, ""), at(nginxName, 3, 11, ""),
		at(tidegateName, 4, 99, "it ended"), at(nginxName, 4, 1, ""),
	})
	if len(sums) != 2 || sums[0].Runs != 3 || sums[1].Runs != 4 || sums[0].CostOfTidegate != nil {
		t.Fatalf("%+v", sums)
	}
	if got, want := *sums[1].CostOfTidegate, (Spread{Median: 1.25, Least: 1, Most: 1.5}); got != want {
		t.Errorf("Tidegate's cost is %v, want %v", got, want)
	}
	if got, want := sums[1].Values["cpu_us_per_message"], (Spread{Median: 9.5, Least: 1, Most: 20}); got != want {
		t.Errorf("the cost of nginx is %v, want %v", got, want)
	}
}

func TestSlope(t *testing.T) {
	if got := slope([]float64{5000, 10000, 15000, 19000}, []float64{7e6 + 5000*400, 7e6 + 10000*400, 7e6 + 15000*400, 7e6 + 19000*400}); math.Abs(got-400) > 1e-6 {
		t.Errorf("the slope is %v, want 400", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, n := range []int{0, 7, 123456789} {
		m := numbered(n)
		if got := numberOf(m); got != n || len(m) != pushSize {
			t.Errorf("%s has %d bytes and the number %d, want %d and %d", m, len(m), got, pushSize, n)
		}
	}
	if got := numberOf([]byte(`{"number":"12345678901x"}`)); got != -1 {
		t.Errorf("no number is read as %d", got)
	}
}
