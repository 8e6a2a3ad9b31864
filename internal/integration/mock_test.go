package integration

import (
	"context"
	"strings"
	"testing"
)

func TestMock(t *testing.T) {
	for template, want := range map[string]int{
		`{"statusCode":200}`:                        200,
		` { "statusCode" : "404" } `:                404,
		`{"x":{"statusCode":500},"statusCode":201}`: 201,
		`{"a":"statusCode: 500","statusCode":202}`:  202,
		`{ statusCode: 204 }`:                       204,
		`{'statusCode': '205', }`:                   205,
		`{statusCode:200,statusCode:206}`:           206,
	} {
		fixed, err := NewMock([]byte(template))
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		each, err := NewMock(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []Invoker{fixed, each} {
			got, err := m.Invoke(context.Background(), message(template))
			if err != nil || got.Status != want || got.Body != nil || got.Header != nil {
				t.Errorf("%s: %+v, %v; want status %d", template, got, err, want)
			}
		}
	}
}

func TestMockMalformed(t *testing.T) {
	each, err := NewMock(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range []string{
		"", "hello", "null", "200", `["statusCode",200]`, "{}", `{"action":"ping"}`, `{"StatusCode":200}`,
		`{"statusCode":null}`, `{"statusCode":true}`, `{"statusCode":99}`, `{"statusCode":1000}`, `{"statusCode":2e2}`,
		`{"a":{"statusCode":200}}`, `{a:{statusCode:200}}`, `{statusCode 200}`, `{statusCode:200`, `statusCode:200`, `{"statusCode":"`,
		strings.Repeat("x", 4*maxDetail),
	} {
		_, err := each.Invoke(context.Background(), message(template))
		checkError(t, err, ErrMalformed, "must yield")
		_, err = NewMock([]byte(template))
		checkError(t, err, ErrMalformed, "must yield")
	}
}

func FuzzMock(f *testing.F) {
	f.Add([]byte(`{"statusCode":200}`))
	f.Add([]byte(`{ statusCode: 204, }`))
	f.Fuzz(func(t *testing.T, output []byte) {
		if n, err := mockStatus(output); (err == nil) != (n >= 100 && n <= 999) {
			t.Fatalf("%q: %d, %v", output, n, err)
		}
	})
}

func TestMockAllocatesNothing(t *testing.T) {
	m, err := NewMock([]byte(`{"statusCode":200}`))
	if err != nil {
		t.Fatal(err)
	}
	r, ctx := message(""), context.Background()
	if n := testing.AllocsPerRun(100, func() { m.Invoke(ctx, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMock(b *testing.B) {
	for name, constant := range map[string][]byte{"constant": []byte(`{"statusCode":200}`), "payload": nil} {
		b.Run(name, func(b *testing.B) {
			m, err := NewMock(constant)
			if err != nil {
				b.Fatal(err)
			}
			r := message(`{"statusCode":200}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Invoke(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
