package source

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func start(t testing.TB, settings *Settings) *Server {
	t.Helper()
	s, err := Start(settings)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Stop()) })
	return s
}

func get(t testing.TB, client *http.Client, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func TestServer(t *testing.T) {
	sink := newRecorder(t)
	s := start(t, settingsFor(t, sink.URL))
	url := "http://" + s.Address()
	code, text := get(t, http.DefaultClient, url+"/healthz")
	assert.Equal(t, http.StatusOK, code)
	assert.Equal(t, "ok\n", text)
	code, text, err := send(t.Context(), http.DefaultClient, url+"/any/path", aWebhook(anAlert(0, 0)))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, code, text)
	code, _ = get(t, http.DefaultClient, url)
	assert.Equal(t, http.StatusMethodNotAllowed, code)

	code, text = get(t, http.DefaultClient, "http://"+s.MetricsAddress()+"/metrics")
	assert.Equal(t, http.StatusOK, code)
	for _, line := range []string{
		`stormfold_source_notifications_total{result="ok"} 1`, `stormfold_source_notifications_total{result="method"} 1`,
		`stormfold_source_events_total{result="ok"} 1`, `stormfold_source_alerts_total 1`,
		`stormfold_source_notifications_in_flight 0`,
		`stormfold_source_notification_duration_seconds_count 2`, `stormfold_source_event_duration_seconds_count 1`,
		`stormfold_source_build_info{version=`, `go_goroutines `,
	} {
		assert.Contains(t, text, line)
	}
	code, _ = get(t, http.DefaultClient, url+"/metrics")
	assert.Equal(t, http.StatusMethodNotAllowed, code, "metrics are for another listener")
}

func TestServerWithoutMetrics(t *testing.T) {
	s := start(t, settingsFor(t, "http://127.0.0.1:1", metricsKey, "off"))
	assert.Empty(t, s.MetricsAddress())
	code, _ := get(t, http.DefaultClient, "http://"+s.Address()+"/healthz")
	assert.Equal(t, http.StatusOK, code)
}

// TestStopFinishesWhatItAccepted: a notification in the middle of its chunks is completed and answered.
func TestStopFinishesWhatItAccepted(t *testing.T) {
	sink := newRecorder(t)
	begun, wait := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(wait) })
	t.Cleanup(release) // Whatever fails here, the sink can be closed.
	sink.answer = func(n int, _ event.Event) int {
		if n == 1 {
			close(begun)
			<-wait
		}
		return http.StatusOK
	}
	settings := settingsFor(t, sink.URL)
	s, err := Start(settings)
	require.NoError(t, err)
	answered, stopped := make(chan int, 1), make(chan error, 1)
	go func() {
		code, _, _ := send(context.Background(), http.DefaultClient, "http://"+s.Address(), aWebhook(many(4, 50_000)...))
		answered <- code
	}()
	<-begun
	go func() { stopped <- s.Stop() }()
	eventually(t, func() bool { // No new connection is taken.
		c, err := net.Dial("tcp", s.Address())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Fatal("it did not wait")
	case <-answered:
		t.Fatal("it was answered before the sink had all of it")
	default:
	}
	release()
	assert.Equal(t, http.StatusOK, <-answered)
	assert.NoError(t, <-stopped)
	assert.Len(t, sink.accepted(), 4)
}

// TestStopEndsInTime: a sink that hangs holds no stop up for longer than a request may take.
func TestStopEndsInTime(t *testing.T) {
	sink := newRecorder(t)
	begun := make(chan struct{})
	sink.answer = func(int, event.Event) int {
		close(begun)
		<-t.Context().Done()
		return http.StatusOK
	}
	s, err := Start(settingsFor(t, sink.URL, prefix+"REQUEST_TIMEOUT", "1s"))
	require.NoError(t, err)
	answered := make(chan int, 1)
	go func() {
		code, _, _ := send(context.Background(), http.DefaultClient, "http://"+s.Address(), aWebhook(anAlert(0, 0)))
		answered <- code
	}()
	<-begun
	assert.NoError(t, s.Stop())
	assert.Equal(t, http.StatusServiceUnavailable, <-answered)
	sink.CloseClientConnections()
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(
		t,
		Run(
			ctx,
			map[string]string{
				sinkKey:              "http://127.0.0.1:1",
				addressKey:           "127.0.0.1:0",
				metricsKey:           "off",
				prefix + "LOG_LEVEL": "error",
			},
		),
	)
}

func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "\n")
	for name, c := range map[string]struct{ key, value, says string }{
		"address":         {addressKey, taken.Addr().String(), addressKey + ": cannot listen on \"" + taken.Addr().String() + "\": "},
		"metrics address": {metricsKey, taken.Addr().String(), metricsKey + ": "},
		"no token file":   {tokenKey, filepath.Join(dir, "none"), tokenKey + ": open "},
		"no token":        {tokenKey, filepath.Join(dir, "empty"), tokenKey + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(settingsFor(t, "http://127.0.0.1:1", c.key, c.value))
			assert.ErrorContains(t, err, c.says)
		})
	}
	_, err = Start(
		settingsFor(t, "http://127.0.0.1:1", certKey, filepath.Join(dir, "empty"), keyKey, filepath.Join(dir, "empty")),
	)
	assert.ErrorContains(t, err, certKey+", "+keyKey+": ")
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue returns a certificate with that serial number, and its key, both PEM.
func (a *authority) issue(t testing.TB, serial int64) (string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
}

// TestTLS: the certificate that a new connection sees is the one in the files, or the last one that was good.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	put := func(serial int64) {
		c, k := ca.issue(t, serial)
		write(t, cert, c)
		write(t, key, k)
	}
	put(101)
	sink := newRecorder(t)
	s := start(t, settingsFor(t, sink.URL, certKey, cert, keyKey, key))
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	seen := func() int64 {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
		var serial int64
		transport.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
			serial = state.PeerCertificates[0].SerialNumber.Int64()
			return nil
		}
		code, text, err := send(
			t.Context(),
			&http.Client{Transport: transport},
			"https://"+s.Address(),
			aWebhook(anAlert(0, 0)),
		)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, code, text)
		return serial
	}
	assert.EqualValues(t, 101, seen())
	put(102)
	assert.EqualValues(t, 102, seen())
	other, _ := ca.issue(t, 103)
	write(t, cert, other)
	assert.EqualValues(t, 102, seen(), "certificate and key do not fit together")
	put(104)
	assert.EqualValues(t, 104, seen())

	_, _, err := send(t.Context(), &http.Client{Transport: &http.Transport{}}, "https://"+s.Address(), "")
	assert.ErrorContains(t, err, "certificate signed by unknown authority")
	assert.Len(t, sink.accepted(), 4)
}

// TestSinkOverTLS: a sink is trusted when K_CA_CERTS has its authority, and not otherwise.
func TestSinkOverTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, 1)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	require.NoError(t, err)
	sink := newRecorder(t)
	server := httptest.NewUnstartedServer(sink)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.Config.ErrorLog = quiet
	server.StartTLS()
	defer server.Close()

	code, text := post(newSource(t, server.URL), aWebhook(anAlert(0, 0)))
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Contains(t, text, "the sink cannot be reached: tls: failed to verify certificate")
	code, text = post(newSource(t, server.URL, caCertsKey, ca.pem), aWebhook(anAlert(0, 0)))
	assert.Equal(t, http.StatusOK, code, text)
	assert.Len(t, sink.accepted(), 1)
}
