package source

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
)

const (
	// EventType is the type of every event that is sent.
	EventType = "io.prometheus.alertmanager.notification.v1"
	// defaultOrigin is the source of events about whose Alertmanager nothing is known.
	defaultOrigin = "/alertmanager"
	// maxAttribute is the length in bytes up to which a text of the notification becomes an attribute.
	maxAttribute = 1024
)

// origin is what all events of one notification have in common.
type origin struct {
	notification string // An id of this delivery; a repetition has another.
	source       string
	subject      string
	partitionKey string
	at           time.Time
	period       period
	extensions   map[string]string
}

// newOrigin makes the attributes:
//
//	id            the delivery's id and the chunk's number. If it were made from the content, a broker could drop an
//	              alert that fires again as a duplicate.
//	source        the setting, else Alertmanager's own URL
//	subject       the receiver, for filters of Triggers; none if it has characters that are invalid in a header
//	time          when the webhook arrived; the function orders reports by it
//	partitionkey  a hash of the group key, so that Kafka keeps a group's notifications in order
//	groupinterval, repeatinterval
//	              the periods of the Alertmanager, in seconds, where they are known
func newOrigin(settings *Settings, n *notification, at time.Time, period period) *origin {
	o := &origin{
		notification: uuid.NewString(), source: settings.EventSource, at: at.UTC(), period: period,
		extensions: settings.Extensions,
	}
	if o.source == "" {
		o.source = externalURL(n.externalURL)
	}
	if len(n.receiver) <= maxAttribute && headerSafe(n.receiver) {
		o.subject = n.receiver
	}
	if n.groupKey != "" {
		hash := sha256.Sum256([]byte(n.groupKey))
		o.partitionKey = hex.EncodeToString(hash[:16])
	}
	return o
}

// id is that of the event with the i-th chunk.
func (o *origin) id(i int) string { return o.notification + "-" + strconv.Itoa(i+1) }

// event makes the event with the i-th chunk.
func (o *origin) event(i int, data []byte) event.Event {
	ev := event.New()
	ev.SetID(o.id(i))
	ev.SetType(EventType)
	ev.SetSource(o.source)
	ev.SetTime(o.at)
	if o.subject != "" {
		ev.SetSubject(o.subject)
	}
	if o.partitionKey != "" {
		ev.SetExtension("partitionkey", o.partitionKey)
	}
	for name, known := range map[string]time.Duration{"groupinterval": o.period.interval,
		"repeatinterval": o.period.repeat} {
		if known > 0 {
			ev.SetExtension(name, int64(known/time.Second))
		}
	}
	for name, value := range o.extensions {
		ev.SetExtension(name, value)
	}
	// Bytes are taken as they are. Validate finds an invalid event before it is sent.
	_ = ev.SetData(event.ApplicationJSON, data)
	return ev
}

// externalURL is Alertmanager's URL without its password.
func externalURL(sent string) string {
	u, err := url.Parse(sent)
	if err != nil || u.Host == "" || len(sent) > maxAttribute {
		return defaultOrigin
	}
	u.User = nil
	return u.String()
}
