package service

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRequest is what serving costs of an event's way, in both modes, for one alert and for a large notification.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{1 << 10, 256 << 10} {
		data := full(size)
		for _, mode := range []struct {
			name   string
			header http.Header
			body   string
		}{
			{"binary", binaryMode, data},
			{"structured", structuredMode, `{"specversion":"1.0","id":"1","type":"t","source":"/s","data":` + data + `}`},
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", mode.name, size>>10), func(b *testing.B) {
				handler := New(&echo{}).Handler
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(mode.body))
					r.Header = mode.header
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					require.Equal(b, http.StatusOK, w.Code)
				}
			})
		}
	}
}
