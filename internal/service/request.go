package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/stormfold/stormfold/handlers"
)

// refusal is why a request is refused permanently, in one sentence.
type refusal struct {
	error
	id     string
	reason handlers.Reason
	status int
}

func invalid(id, format string, args ...any) *refusal {
	return &refusal{fmt.Errorf(format, args...), id, handlers.ReasonInvalid, http.StatusBadRequest}
}

// read reads the event of a request.
func read(w http.ResponseWriter, r *http.Request) (*event.Event, *refusal) {
	id := r.Header.Get("Ce-Id")
	body, err := readBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		err = fmt.Errorf("the body is larger than %d bytes", tooLarge.Limit)
		return nil, &refusal{err, id, handlers.ReasonTooLarge, http.StatusRequestEntityTooLarge}
	case err != nil:
		return nil, invalid(id, "the body cannot be read: %w", err)
	}
	ev, err := parse(r.Header, body)
	switch {
	case errors.Is(err, binding.ErrUnknownEncoding):
		return nil, invalid(
			id,
			"the request is not a CloudEvent: it has neither a ce-specversion header nor the content type "+
				event.ApplicationCloudEventsJSON,
		)
	case err != nil:
		return nil, invalid(id, "the request is not a CloudEvent: %s", oneLine(err))
	}
	if err := ev.Validate(); err != nil {
		return nil, invalid(ev.ID(), "the CloudEvent is not valid: %s", oneLine(err))
	}
	return ev, nil
}

// readBody reads the body, or as much as it takes to know that it is too large.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > handlers.MaxBody {
		return nil, &http.MaxBytesError{Limit: handlers.MaxBody}
	}
	// With room for one more reading, which finds the end.
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, handlers.MaxBody))
	return body.Bytes(), err
}

// parse makes an event of headers and body, in binary or structured mode.
func parse(header http.Header, body []byte) (*event.Event, error) {
	message := cehttp.NewMessage(header, nil)
	if message.ReadEncoding() != binding.EncodingBinary {
		message.BodyReader = io.NopCloser(bytes.NewReader(body))
		return binding.ToEvent(context.Background(), message)
	}
	ev, err := binding.ToEvent(context.Background(), message)
	if err == nil && len(body) > 0 {
		ev.DataEncoded = body // As it is: the SDK would copy it.
	}
	return ev, err
}

// maxSaid is how much of an error is repeated, in bytes: the SDK's hold what was sent, as long as that may be.
const maxSaid = 300

// oneLine joins the lines of an error, since the SDK writes one for each attribute, and cuts what is too long for a
// sentence.
func oneLine(err error) string {
	said := strings.Join(strings.FieldsFunc(err.Error(), unicode.IsControl), "; ")
	if len(said) > maxSaid {
		said = said[:maxSaid] + "…"
	}
	return strings.ToValidUTF8(said, "\uFFFD")
}
