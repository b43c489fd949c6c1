package cases

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/stormfold/stormfold/internal/source"
)

// One webhook has 5,000 alerts in 4.7 MB. The source sends all of them on, and they are one storm.
func TestCaseFiveThousandAlerts(t *testing.T) {
	var mu sync.Mutex
	var events []string
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev, err := cehttp.NewEventFromHTTPRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		document, err := json.Marshal(ev)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, string(document))
		w.WriteHeader(http.StatusAccepted)
	}))
	defer sink.Close()
	settings, err := source.Parse(map[string]string{"K_SINK": sink.URL})
	require.NoError(t, err)
	s, err := source.New(settings, zap.NewNop().Sugar())
	require.NoError(t, err)

	var alerts []string
	for _, text := range down(5000) {
		set := labels(text)
		set["note"] = strings.Repeat("x", 780)
		alerts = append(alerts, alertOf("firing", set, 0, 0))
	}
	body := webhook(alerts...)
	require.Greater(t, len(body), 4_700_000)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())

	i := play(t, policies(t, lone), events...).only(t)
	require.EqualValues(t, 5000, i.Status.Alerts.Total)
	require.EqualValues(t, "Storm", i.Status.Type)
}
