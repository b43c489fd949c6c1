package source

import (
	"fmt"
	"net/http"
)

// reason is why a notification was refused. The set is closed: it is the label of a metric.
type reason string

// The reasons, and ok for none. A notification that the sink does not take has that of the event.
const (
	ok              reason = "ok"
	badMethod       reason = "method"
	unauthorized    reason = "unauthorized"
	noToken         reason = "token"
	overloaded      reason = "overloaded"
	tooLarge        reason = "too_large"
	noSpool         reason = "spool"
	unreadable      reason = "unreadable"
	invalid         reason = "invalid"
	sinkRefused     reason = "sink_refused"
	sinkUnavailable reason = "sink_unavailable"
	sinkUnreachable reason = "sink_unreachable"
	sinkTimeout     reason = "sink_timeout"
	gone            reason = "gone"
)

// answer is what a webhook is answered for a reason.
type answer struct {
	reason reason
	status int
	help   string
}

// answers is every answer, in the order of the documentation. Alertmanager sends again what was answered 5xx and gives up
// what was answered 4xx, so only what no repetition can mend is the latter.
var answers = []answer{
	{ok, http.StatusOK, "The sink has accepted every event."},
	{invalid, http.StatusBadRequest, "It is no webhook of version 4, or no alert of it can be used. The answer names the field."},
	{unreadable, http.StatusBadRequest, "The body broke off."},
	{unauthorized, http.StatusUnauthorized, "There is no bearer token, or one that is not in the file."},
	{badMethod, http.StatusMethodNotAllowed, "It is not a POST."},
	{tooLarge, http.StatusRequestEntityTooLarge, "The body is larger than `STORMFOLD_SOURCE_MAX_BODY`, which `max_alerts` in Alertmanager's `webhook_configs` can bound, or one " +
		"alert than 4 MiB."},
	{noSpool, http.StatusServiceUnavailable, "A body of more than 1 MiB cannot be kept in a file in `TMPDIR`."},
	{noToken, http.StatusServiceUnavailable, "The file of tokens cannot be read, or is empty."},
	{overloaded, http.StatusServiceUnavailable, "`STORMFOLD_SOURCE_CONCURRENCY` notifications are being sent already."},
	{sinkRefused, http.StatusServiceUnavailable, "The sink refuses an event for good (4xx). The other events of the notification were sent all the same."},
	{sinkUnavailable, http.StatusServiceUnavailable, "The sink asks to try again: 5xx, 3xx, 401, 403, 404, 408, 409, 425 or 429."},
	{sinkUnreachable, http.StatusServiceUnavailable, "There is no connection to the sink."},
	{sinkTimeout, http.StatusServiceUnavailable, "The sink did not answer in time."},
	{gone, http.StatusServiceUnavailable, "The sender hung up before the answer; nobody sees it."},
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	reason reason
	text   string
}

func refuse(why reason, format string, args ...any) *refusal {
	r := &refusal{reason: why, text: oneLine(fmt.Sprintf(format, args...))}
	for _, a := range answers {
		if a.reason == why {
			r.status = a.status
		}
	}
	return r
}

// why is ok for nil.
func (r *refusal) why() reason {
	if r == nil {
		return ok
	}
	return r.reason
}
