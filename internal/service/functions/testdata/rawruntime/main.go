// Command rawruntime is a custom runtime that does to the Runtime API what its
// event says. It answers with what the API said.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

var api = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime"

func post(path, body string, header ...string) string {
	req, err := http.NewRequest("POST", api+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(req)
}

func send(req *http.Request) string {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, bytes.TrimSpace(b))
}

// stream answers in chunks; failure, when given, comes in the trailers.
func stream(id, failure string) string {
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", api+"/invocation/"+id+"/response", r)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil, "Lambda-Runtime-Function-Error-Body": nil}
	go func() {
		io.WriteString(w, `"one `)
		time.Sleep(20 * time.Millisecond)
		io.WriteString(w, `two"`)
		if failure != "" {
			req.Trailer.Set("Lambda-Runtime-Function-Error-Type", "Function.Broken")
			req.Trailer.Set("Lambda-Runtime-Function-Error-Body", base64.StdEncoding.EncodeToString([]byte(failure)))
		}
		w.Close()
	}()
	return send(req)
}

func main() {
	switch os.Getenv("AT_START") {
	case "exit":
		os.Exit(5)
	case "error":
		fmt.Println(post("/init/error", `{"errorType":"Own.Init","errorMessage":"not today","stackTrace":[]}`, "Lambda-Runtime-Function-Error-Type", "Own.Init"))
		os.Exit(1)
	case "hang":
		time.Sleep(time.Hour)
	}
	said := "nothing" // by the API about the last answer
	for {
		resp, err := http.Get(api + "/invocation/next")
		if err != nil {
			panic(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		respond := func(body string) string { return post("/invocation/"+id+"/response", body) }
		answer, err := json.Marshal(said)
		if err != nil {
			panic(err)
		}
		var event struct{ Do string }
		json.Unmarshal(b, &event) // other events do nothing
		switch event.Do {
		case "exit":
			os.Exit(3)
		case "leave":
			os.Exit(0)
		case "kill":
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "error":
			said = post("/invocation/"+id+"/error", `{"errorType":"Own.Error","errorMessage":"no","stackTrace":["a","b"]}`, "Lambda-Runtime-Function-Error-Type", "Own.Error")
		case "empty error":
			said = post("/invocation/"+id+"/error", ``, "Lambda-Runtime-Function-Error-Type", "Own.Empty")
		case "twice":
			respond(`"first"`)
			said = respond(`"second"`)
		case "wrong id":
			said = post("/invocation/00000000-0000-0000-0000-000000000000/response", `"x"`)
			respond(`"right"`)
		case "wrong mode":
			said = post("/invocation/"+id+"/response", `"x"`, "Lambda-Runtime-Function-Response-Mode", "sideways")
			respond(`"right"`)
		case "big":
			said = respond(`"` + strings.Repeat("x", 6291557) + `"`)
		case "stream":
			said = stream(id, "")
		case "broken stream":
			said = stream(id, `{"errorType":"Own.Stream","errorMessage":"half way"}`)
		case "next twice":
			resp, err := http.Get(api + "/invocation/next")
			if err != nil {
				panic(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			respond(fmt.Sprintf("%q", fmt.Sprint(resp.StatusCode, " ", string(b))))
		default:
			respond(string(answer))
		}
	}
}
