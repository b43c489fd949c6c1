package main

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"

	"github.com/stormfold/stormfold/function"
	"github.com/stormfold/stormfold/handlers"
)

// webhookHandler receives Alertmanager's webhook and passes it to the function as the event that the source would make.
func webhookHandler(f *function.Function) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "send Alertmanager's webhook here by POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, handlers.MaxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ev := event.New()
		ev.SetID(uuid.NewString())
		ev.SetType(handlers.TypeNotification)
		ev.SetSource("/dev/webhook")
		ev.SetTime(time.Now())
		if err := ev.SetData("application/json", body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, err = f.Handle(r.Context(), ev)
		var result *cehttp.Result
		if protocol.IsACK(err) || err == nil {
			w.WriteHeader(http.StatusOK)
			return
		}
		status := http.StatusServiceUnavailable
		if errors.As(err, &result) {
			status = result.StatusCode
		}
		http.Error(w, err.Error(), status)
	})
}
