package aggregator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// losses is a world in which Redis may be emptied at any moment: a few alerts, pods that write to Kubernetes step by
// step, and what exists then.
type losses struct {
	*lab
	random *rand.Rand
	// standing are the incidents in Kubernetes; those without a status have revision 0.
	standing map[string]Object
	// groups are those of the incidents, by name, as a snapshot names them.
	groups map[string]Imported
	// writers are pods in the middle of writing a snapshot.
	writers []*writer
	// words are what was reported about each alert, in order.
	words map[string][]Alert
	// fired are the alerts that were told as firing since Redis last lost something. Of others that are over it need
	// not know.
	fired    map[string]bool
	names    []string
	log      []string
	versions int
	// copied is what Redis had some time ago, for a world in which it goes back to that.
	copied map[string]string
}

// writer is a pod that has taken a snapshot: create, status, then the next object, then settle.
type writer struct {
	snapshot  *Snapshot
	began     time.Time
	at        int
	created   bool
	confirmed []Confirmed
}

func (w *losses) note(format string, args ...any) {
	w.log = append(w.log, w.now.Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// subject is one alert of a group: pods of PodDown make a storm, those of Lone never do.
func (w *losses) subject(name string, pod int, status Status) Alert {
	labels := map[string]string{
		"alertname": name,
		"namespace": "shop",
		"pod":       fmt.Sprintf("web-%d", pod),
		"severity":  "warning",
	}
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	a := Alert{Fingerprint: set.Fingerprint().String(), Status: status, Labels: labels, StartsAt: w.now, NotifiedAt: w.now}
	if status == Resolved {
		a.EndsAt = w.now
	}
	return a
}

// say folds the next word about some alert.
func (w *losses) say() {
	name, pods := "PodDown", 14
	if w.random.IntN(4) == 0 {
		name, pods = "Lone", 3
	}
	var batch []Alert
	for range 1 + w.random.IntN(3) {
		a := w.subject(name, w.random.IntN(pods), Firing)
		said := w.words[a.Fingerprint]
		if slices.ContainsFunc(batch, func(b Alert) bool { return b.Fingerprint == a.Fingerprint }) {
			continue
		}
		n := len(said)
		if n > 0 && said[n-1].Status == Firing {
			a.StartsAt = said[n-1].StartsAt
		}
		switch {
		case n == 0:
			w.names = append(w.names, a.Fingerprint)
		case said[n-1].Status == Firing && w.random.IntN(2) == 0:
			a.Status, a.EndsAt = Resolved, w.now
		case said[n-1].Status == Resolved && (name == "PodDown" || w.random.IntN(2) == 0):
			a.Status, a.StartsAt, a.EndsAt = Resolved, said[n-1].StartsAt, said[n-1].EndsAt // Reported again.
		}
		w.words[a.Fingerprint] = append(said, a)
		batch = append(batch, a)
	}
	w.deliver(batch)
	if w.random.IntN(5) == 0 {
		w.deliver(batch)
	}
}

// again delivers an old event once more.
func (w *losses) again() {
	if len(w.names) == 0 {
		return
	}
	said := w.words[w.names[w.random.IntN(len(w.names))]]
	w.deliver([]Alert{said[w.random.IntN(len(said))]})
}

func (w *losses) deliver(batch []Alert) {
	for _, a := range batch {
		w.fired[a.Fingerprint] = w.fired[a.Fingerprint] || a.Status == Firing
		w.note("%s %s %s of %s", a.Labels["alertname"], a.Labels["pod"], a.Status, a.NotifiedAt.Format("04:05.000"))
	}
	for _, f := range w.foldAll(batch) {
		if f.Token != "" {
			w.snapshot(f.Group, f.Token, false)
		}
	}
}

func (w *losses) foldAll(batch []Alert) []Folded {
	folded, err := w.Fold(
		w.ctx,
		Split(config.Policies{List: []config.Policy{w.policy}}, Batch{Alerts: batch}),
		func(Group) string { return "stormfold" },
	)
	require.NoError(w.t, err)
	return folded
}

// snapshot lets a pod begin to write a group; it imports and replays first where that is needed.
func (w *losses) snapshot(group, token string, now bool) bool {
	s, err := w.Snapshot(w.ctx, group, token, now)
	var busy *Busy
	switch {
	case errors.As(err, &busy):
		return false
	case errors.Is(err, ErrNotImported):
		w.importMissing()
		return true
	case errors.Is(err, ErrWaiting):
		_, err := w.Replay(w.ctx, group)
		require.NoError(w.t, err)
		w.note("replayed %s", group)
		return true
	}
	require.NoError(w.t, err)
	if s == nil || len(s.Objects) == 0 {
		return false
	}
	for _, o := range s.Objects {
		w.groups[o.Name] = Imported{Group: s.Group, Policy: s.Policy, Labels: s.Labels}
	}
	w.writers = append(w.writers, &writer{snapshot: s, began: w.now})
	return true
}

// step lets a pod make its next call of the API server.
func (w *losses) step(i int) {
	p := w.writers[i]
	if p.at == len(p.snapshot.Objects) {
		_, err := w.Settle(w.ctx, p.snapshot, p.confirmed, 0)
		lost := p.snapshot.outage != nil && (errors.Is(err, ErrNotImported) || errors.Is(err, ErrUnavailable))
		if !lost { // What an outage could not settle stays due.
			require.NoError(w.t, err)
		}
		w.writers = slices.Delete(w.writers, i, i+1)
		return
	}
	if w.now.Sub(p.began) > 20*time.Second { // A pod gives up when the lease is over.
		w.writers = slices.Delete(w.writers, i, i+1)
		return
	}
	o := p.snapshot.Objects[p.at]
	have, stands := w.standing[o.Name]
	switch {
	case o.Delete, !stands && o.ResourceVersion != "" && (o.State == StateAbsorbed || o.Total == 0):
		delete(w.standing, o.Name)
		p.confirmed = append(p.confirmed, Confirmed{Name: o.Name, Namespace: o.Namespace})
	case !stands && !p.created:
		w.note("create %s", o.Name)
		created := Object{
			Name: o.Name, Namespace: o.Namespace, Fingerprint: o.Fingerprint, OpenedAt: w.now.Truncate(time.Second),
			State: StateFiring,
			Facts: Facts{Labels: map[string]string{}}, ResourceVersion: w.version(),
		}
		if o.Outage != nil {
			created.Outage = &Outage{Policy: o.Outage.Policy}
		}
		if o.Fingerprint != "" {
			created.Members = []Member{{Fingerprint: o.Fingerprint, Firing: true}}
		}
		w.standing[o.Name] = created
		p.created = true
		return
	default:
		if !stands { // Deleted between create and status.
			p.created = false
			return
		}
		if have.Revision <= o.Revision || have.ResourceVersion == o.ResourceVersion {
			w.note("status %s %s storm=%v %d/%d rev %d", o.Name, o.State, o.Storm, o.Firing, o.Total, o.Revision)
			o.OpenedAt = have.OpenedAt
			if o.Storm && o.State != StateFiring && len(have.Members) > len(o.Members) { // As the projector's carry does.
				o.Members, o.Total = have.Members, max(o.Total, len(have.Members))
				for m := range o.Members {
					o.Members[m].Firing = false
				}
			}
			o.Facts.Traits = nil
			for m := range o.Members {
				o.Members[m] = Member{Fingerprint: o.Members[m].Fingerprint, Firing: o.Members[m].Firing}
			}
			o.ResourceVersion = w.version()
			w.standing[o.Name] = o
			have = o
		}
		p.confirmed = append(
			p.confirmed,
			Confirmed{Name: o.Name, Namespace: o.Namespace, Revision: have.Revision, ResourceVersion: have.ResourceVersion},
		)
	}
	p.at, p.created = p.at+1, false
}

// importMissing imports the shards that have no epoch.
func (w *losses) importMissing() {
	for shard := range Shards {
		if w.rdb.Exists(w.ctx, w.keys.epoch(shard)).Val() == 0 {
			w.importShard(shard, "")
		}
	}
}

func (w *losses) importShard(shard int, epoch string) {
	i, err := w.BeginImport(w.ctx, shard, epoch, time.Minute)
	require.NoError(w.t, err)
	require.NotNil(w.t, i)
	w.note("import of shard %d, epoch %q", shard, epoch)
	should, err := w.Standing(w.ctx, shard)
	require.NoError(w.t, err)
	if err := w.take(shard); errors.Is(err, ErrNotImported) && epoch != "" {
		w.note("shard %d has an incident that Redis does not know", shard)
		require.NoError(w.t, w.AbortImport(w.ctx, i))
		w.importShard(shard, "")
		return
	} else {
		require.NoError(w.t, err)
	}
	for _, s := range should {
		if _, stands := w.standing[s.Name]; !stands {
			w.note("%s is missing", s.Name)
			require.NoError(w.t, w.Differs(w.ctx, s, ""))
		}
	}
	if err := w.FinishImport(w.ctx, i); errors.Is(err, ErrUnavailable) { // Meanwhile a lost key was noticed.
		require.NoError(w.t, w.AbortImport(w.ctx, i))
		w.importShard(shard, "")
	} else {
		require.NoError(w.t, err)
	}
}

// take imports, in the order of names, which says nothing of age.
func (w *losses) take(shard int) error {
	var names []string
	for name := range w.standing {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if i := w.groups[name]; ShardOf(i.Group) == shard {
			i.Object = w.standing[name]
			if _, err := w.Import(w.ctx, i, &w.policy); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep is what every pod does now and then.
func (w *losses) sweep() {
	for shard := range Shards {
		swept, err := w.Sweep(w.ctx, shard)
		require.NoError(w.t, err)
		if w.NeedsImport(swept.Epoch) {
			w.importShard(shard, swept.Epoch)
		}
		for _, g := range swept.Groups {
			w.snapshot(g, "", false)
		}
	}
}

// rest ends every write that is on its way and writes what is due until nothing is.
func (w *losses) rest() {
	for range 400 {
		for len(w.writers) > 0 {
			w.step(0)
		}
		w.pass(7 * time.Second)
		w.sweep()
		due := false
		for shard := range Shards {
			swept, err := w.Sweep(w.ctx, shard)
			require.NoError(w.t, err)
			due = due || len(swept.Groups) > 0
		}
		if !due && len(w.writers) == 0 {
			return
		}
	}
	w.t.Fatalf("there is always something to write\n%s", strings.Join(w.log, "\n"))
}

// verdict says what is lost, doubled or wrong. Where Redis went back, an incident may say that it is absorbed by one
// that was decided by what was forgotten and never written: it is over, and its alerts are in others.
func (w *losses) verdict(back bool) []string {
	var problems []string
	where, storms, openStorms, openSingles := map[string][]Object{}, map[string]int{}, map[string]int{}, map[string]int{}
	rolled := false
	for _, o := range w.standing {
		if o.State == StateAbsorbed {
			if _, stands := w.standing[o.AbsorbedBy]; !stands && !back {
				problems = append(problems, fmt.Sprintf("%s is absorbed by %q", o.Name, o.AbsorbedBy))
			}
			continue
		}
		if o.Outage != nil {
			continue
		}
		if o.Reason == "MaxDuration" { // What fires on is in another; what was over before was part of this one.
			rolled = true
			continue
		}
		group := w.groups[o.Name].Group
		switch {
		case o.Revision == 0:
			problems = append(problems, o.Name+" has no status")
		case o.Storm:
			storms[group]++
			if o.State == StateFiring {
				openStorms[group]++
			}
		case o.State == StateFiring:
			openSingles[group]++
		}
		firing := 0
		for _, m := range o.Members {
			where[m.Fingerprint] = append(where[m.Fingerprint], o)
			said := w.words[m.Fingerprint]
			if len(said) == 0 {
				problems = append(problems, fmt.Sprintf("%s has %s, which was never sent", o.Name, m.Fingerprint))
				continue
			}
			last := said[len(said)-1]
			if m.Firing {
				firing++
			}
			if m.Firing != (last.Status == Firing) {
				problems = append(
					problems,
					fmt.Sprintf("%s has %s firing=%v, the last report is %s", o.Name, last.Labels["pod"], m.Firing, last.Status),
				)
			}
		}
		if o.Total != len(o.Members) || o.Firing != firing {
			problems = append(
				problems,
				fmt.Sprintf("%s counts %d/%d and lists %d/%d", o.Name, o.Firing, o.Total, firing, len(o.Members)),
			)
		}
		if (o.State == StateFiring) != (o.Firing > 0) {
			problems = append(problems, fmt.Sprintf("%s is %s with %d firing", o.Name, o.State, o.Firing))
		}
	}
	for group, n := range storms {
		if n > 1 || openStorms[group] > 0 && openSingles[group] > 0 {
			problems = append(problems, fmt.Sprintf("group %s has %d storms, %d open beside it", group, n, openSingles[group]))
		}
	}
	for fp, said := range w.words {
		over := said[len(said)-1].Status == Resolved && rolled
		if n := len(where[fp]); n != 1 && (n > 1 || w.fired[fp] && !over) {
			problems = append(
				problems,
				fmt.Sprintf("alert %s %s is in %d incidents", said[0].Labels["alertname"], said[0].Labels["pod"], n),
			)
		}
	}
	problems = append(problems, w.outages()...)
	slices.Sort(problems)
	return problems
}

// outages says what is wrong about outages: all incidents are part of one as soon as there are two, and say so.
func (w *losses) outages() []string {
	var problems []string
	var outages []string
	listed := map[string]int{}
	for name, o := range w.standing {
		if o.Outage == nil || o.State == StateAbsorbed || o.Reason == reasonBelowThreshold {
			continue
		}
		outages = append(outages, name)
		for _, p := range o.Outage.Members {
			listed[p.Name]++
			member, stands := w.standing[p.Name]
			if !stands || member.State == StateAbsorbed {
				problems = append(problems, fmt.Sprintf("%s lists %s, which is %q", name, p.Name, member.State))
			} else if member.PartOf != name || p.Firing != (member.State == StateFiring) {
				problems = append(problems, fmt.Sprintf("%s lists %s firing=%v, which is %s and part of %q",
					name, p.Name, p.Firing, member.State, member.PartOf))
			}
		}
	}
	incidents := 0
	for name, o := range w.standing {
		if o.Outage != nil || o.State == StateAbsorbed || o.Total == 0 {
			continue
		}
		incidents++
		if listed[name] != 1 && len(outages) > 0 {
			problems = append(problems, fmt.Sprintf("%s is in %d outages", name, listed[name]))
		}
	}
	if want := min(1, incidents/2); len(outages) != want {
		problems = append(problems, fmt.Sprintf("%d incidents are part of the outages %v", incidents, outages))
	}
	return problems
}

// meddle deletes an open incident, or writes something else into its status.
func (w *losses) meddle() {
	var open []string
	for name, o := range w.standing {
		if o.State == StateFiring && o.Revision > 0 {
			open = append(open, name)
		}
	}
	if len(open) == 0 {
		return
	}
	slices.Sort(open)
	name := open[w.random.IntN(len(open))]
	o := w.standing[name]
	if w.random.IntN(2) == 0 {
		w.note("someone deletes %s", name)
		delete(w.standing, name)
		return
	}
	w.note("someone edits %s", name)
	o.ResourceVersion = w.version()
	o.State, o.Firing, o.Revision = StateResolved, 0, o.Revision-int64(w.random.IntN(2))
	w.standing[name] = o
}

// version is the next resource version.
func (w *losses) version() string {
	w.versions++
	return fmt.Sprint(w.versions)
}

// empty takes all from Redis.
func (w *losses) empty() {
	w.note("FLUSHALL")
	clear(w.fired)
	require.NoError(w.t, w.rdb.FlushAll(w.ctx).Err())
}

// copy remembers what Redis has.
func (w *losses) copy() {
	w.note("what Redis has now reaches its replica")
	w.copied = map[string]string{}
	for _, key := range w.rdb.Keys(w.ctx, "*").Val() {
		w.copied[key] = w.rdb.Dump(w.ctx, key).Val()
	}
}

// goBack makes Redis another server that never had the words since the last copy.
func (w *losses) goBack() {
	if w.copied == nil {
		return
	}
	w.note("the replica becomes the master")
	clear(w.fired)
	require.NoError(w.t, w.rdb.FlushAll(w.ctx).Err())
	for key, value := range w.copied {
		require.NoError(w.t, w.rdb.Restore(w.ctx, key, 0, value).Err())
	}
	for shard := range Shards {
		require.NoError(w.t, w.rdb.Set(w.ctx, w.keys.server(shard), "another", 0).Err())
	}
}

// run does so many steps. Some of them, or one, make Redis forget: all of it, a key, or what came last. Or someone else
// changes what is in Kubernetes.
func (w *losses) run(steps int, what harm, once bool) {
	back := what == goesBack
	if back { // Nothing but the change of the server lets a pod look.
		w.pass(importAgain)
		w.sweep()
		w.copy()
	}
	at := -1 // The step of the one loss; before and after it nothing is lost.
	if once && what != meddled {
		at = w.random.IntN(steps)
	}
	for step := range steps {
		w.pass(time.Duration(1+w.random.IntN(1500)) * time.Millisecond)
		n := w.random.IntN(100)
		for once && what != meddled && n >= 95 && !(back && n >= 97) {
			n = w.random.IntN(100)
		}
		if step == at {
			n = 95 + w.random.IntN(4)
		}
		switch {
		case back && (n == 95 || n == 96 || step == at):
			w.goBack()
		case back && n >= 97:
			w.copy()
		case what == meddled && n >= 95:
			w.meddle()
		case n < 40:
			w.say()
		case n < 45:
			w.again()
		case n < 80 && len(w.writers) > 0:
			w.step(w.random.IntN(len(w.writers)))
		case n < 95:
			w.sweep()
		case n < 98:
			w.empty()
		case n == 98:
			keys := w.rdb.Keys(w.ctx, "{sf:*").Val()
			slices.Sort(keys)
			if len(keys) > 0 {
				key := keys[w.random.IntN(len(keys))]
				if !strings.HasSuffix(key, ":waiting") {
					w.note("DEL %s", key)
					clear(w.fired)
					require.NoError(w.t, w.rdb.Del(w.ctx, key).Err())
				}
			}
		}
	}
	w.rest()
	w.note("the senders repeat")
	for _, fp := range w.names {
		last := w.words[fp][len(w.words[fp])-1]
		last.NotifiedAt = w.now
		w.words[fp] = append(w.words[fp], last)
		w.deliver([]Alert{last})
	}
	w.rest()
	for range 6 { // The second look.
		w.pass(20 * time.Second)
		w.rest()
	}
	if what == meddled {
		w.pass(resync)
		w.rest()
	}
}

// Whatever Redis forgets and whenever, after one repetition by the senders every alert is in exactly one incident, with
// its latest status.
func TestNothingIsLostOrDoubledWhenRedisForgets(t *testing.T) { harmed(t, forgets) }

// So too where a failover, or a restart, takes Redis back to what it had some time ago.
func TestNothingIsLostOrDoubledWhenRedisGoesBack(t *testing.T) { harmed(t, goesBack) }

// What someone deletes or edits is corrected within the time after which all is compared.
func TestWhatSomeoneChangesIsPutRight(t *testing.T) { programs(t, meddled, false) }

// harm is what goes wrong in a run.
type harm int

const (
	forgets harm = iota
	goesBack
	meddled
)

func harmed(t *testing.T, what harm) {
	t.Run("once", func(t *testing.T) { programs(t, what, true) })
	t.Run("time and again", func(t *testing.T) { programs(t, what, false) })
}

func programs(t *testing.T, what harm, once bool) {
	// The same programs every time; a soak takes others.
	programs, seed := 40, uint64(1)
	if soak := os.Getenv("STORMFOLD_TESTBED_SOAK"); soak != "" {
		programs, seed = 2000, rand.Uint64()
	}
	if s := os.Getenv("STORMFOLD_TESTBED_SEED"); s != "" {
		_, err := fmt.Sscan(s, &seed)
		require.NoError(t, err)
		programs = 1
	}
	outages := []config.Outage{{
		Name: "all", Threshold: 2, Window: 24 * time.Hour, Cooldown: 24 * time.Hour, Retention: 48 * time.Hour,
		MaxListed: 100, MaxIncidents: 1000, Flush: config.Flush{Min: time.Second, Max: 15 * time.Second},
	}}
	for range programs {
		w := &losses{
			lab: newLab(t, func(p *config.Policy) {
				p.Cooldown, p.Threshold = time.Hour, []int{5, 1}[seed%2]
				p.MaxDuration = []time.Duration{p.MaxDuration, 130 * time.Second}[seed/2%2]
			}), random: rand.New(rand.NewPCG(seed, 0)),
			standing: map[string]Object{}, groups: map[string]Imported{}, words: map[string][]Alert{},
			fired: map[string]bool{},
		}
		w.Aggregator = New(Options{
			Redis: w.rdb, Lease: 20 * time.Second, Resync: resync, Clock: func() time.Time { return w.now },
			Namespace: "stormfold", Outages: func() []config.Outage { return outages },
		})
		w.run(150, what, once)
		if problems := w.verdict(what == goesBack); len(problems) > 0 {
			t.Fatalf("STORMFOLD_TESTBED_SEED=%d\n%s\n\n%s", seed, strings.Join(w.log, "\n"), strings.Join(problems, "\n"))
		}
		seed++
	}
}
