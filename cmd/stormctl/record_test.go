package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// What was recorded of a real Alertmanager is what replay reads, with the times at which it came. A body that is not a
// webhook is refused.
func TestRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "night.jsonl")
	address := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	ctx, stop := context.WithCancel(t.Context())
	var messages bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, "stormctl", []string{"record", file, "--listen", address}, streams{out: io.Discard, err: &messages,
			now: time.Now})
	}()
	am := testbed.Alertmanager(t, fmt.Sprintf(`
route: {receiver: record, group_by: [alertname], group_wait: 100ms, group_interval: 1s}
receivers:
- name: record
  webhook_configs: [{url: "http://%s", send_resolved: true}]
`, address))
	post := func(url, body string) int {
		response, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			return 0
		}
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(
		t,
		http.StatusOK,
		post(am.URL+"/api/v2/alerts",
			`[{"labels":{"alertname":"DiskFull","node":"a"}},{"labels":{"alertname":"DiskFull","node":"b"}}]`),
	)
	testbed.Eventually(t, 30*time.Second, "the recording", func(context.Context) error {
		content, err := os.ReadFile(file)
		if err == nil && len(content) == 0 {
			err = fmt.Errorf("%s is empty", file)
		}
		return err
	})
	require.Equal(t, http.StatusBadRequest, post("http://"+address, `{"alerts":[]}`))
	require.Equal(t, http.StatusBadRequest, post("http://"+address, `{"alerts":`))
	response, err := http.Get("http://" + address)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	stop()
	require.Equal(t, exitOK, <-ended, messages.String())
	require.Contains(t, messages.String(), "Recorded 1 webhook.\n")
	got := call(t, "", "replay", file)
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "1 document with 2 alerts")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestRecordThatCannotBegin(t *testing.T) {
	for args, want := range map[string]string{
		"record": "record needs the name of one file", "record a b": "record needs the name of one file",
		"record x --listen 127.0.0.1:none":       "cannot listen on 127.0.0.1:none: ",
		"record /nowhere/x --listen 127.0.0.1:0": "/nowhere/x cannot be written: no such file or directory",
	} {
		got := call(t, "", strings.Fields(args)...)
		require.NotEqual(t, exitOK, got.code, args)
		require.Contains(t, got.err, want)
	}
}
