package goconn

import (
	"testing"

	"tidegate/internal/transport/transporttest"
)

func BenchmarkEcho(b *testing.B) { transporttest.BenchEcho(b, newEngine(b)) }

func BenchmarkIdle(b *testing.B) { transporttest.BenchIdle(b, newEngine(b)) }
