package source

import (
	"fmt"
	"net/http"
)

// reason is why a notification was refused. The set is fixed: it is the label of a metric.
type reason string

// The reasons, and ok for none. A notification that the sink does not accept has the reason of the event.
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

// answer is the answer to a webhook for a reason.
type answer struct {
	reason reason
	status int
	help   string
}

// answers is every answer, in the order of the documentation. Alertmanager repeats a notification that was answered
// 5xx and drops one that was answered 4xx, so 4xx is only for what no repetition can fix.
var answers = []answer{
	{ok, http.StatusOK, "The sink has accepted every event."},
	{
		invalid,
		http.StatusBadRequest,
		"The body is not a webhook of version 4, or none of its alerts can be used. The answer names the field.",
	},
	{unreadable, http.StatusBadRequest, "The body ended early."},
	{unauthorized, http.StatusUnauthorized, "The bearer token is missing or not in the file."},
	{badMethod, http.StatusMethodNotAllowed, "The request is not a POST."},
	{
		tooLarge,
		http.StatusRequestEntityTooLarge,
		"The body is larger than `STORMFOLD_SOURCE_MAX_BODY` (set `max_alerts` in Alertmanager's `webhook_configs`), or one " +
			"alert is larger than 4 MiB.",
	},
	{noSpool, http.StatusServiceUnavailable, "The body has more than 1 MiB and cannot be written to `TMPDIR`."},
	{noToken, http.StatusServiceUnavailable, "The token file cannot be read, or is empty."},
	{overloaded, http.StatusServiceUnavailable, "`STORMFOLD_SOURCE_CONCURRENCY` notifications are in progress."},
	{
		sinkRefused,
		http.StatusServiceUnavailable,
		"The sink refuses an event permanently (4xx). The other events of the notification were sent.",
	},
	{
		sinkUnavailable,
		http.StatusServiceUnavailable,
		"The sink may accept the event later: 5xx, 3xx, 401, 403, 404, 408, 409, 425 or 429.",
	},
	{sinkUnreachable, http.StatusServiceUnavailable, "The sink cannot be reached."},
	{sinkTimeout, http.StatusServiceUnavailable, "The sink did not answer in time."},
	{gone, http.StatusServiceUnavailable, "The sender closed the connection before the answer."},
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
