package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const longestMicroseconds = 600_000_000

// Sent is one request; a zero instant has not come yet.
type Sent struct {
	step                   int
	due, started, accepted time.Time
	status                 int
	caseRef                string
}

// An arrival is whole when as many webhooks have come as the intake causes.
type arrival struct {
	whole time.Time
	times int
	slow  bool
}

// Record holds everything sent and received, by id.
type Record struct {
	lock     sync.Mutex
	webhooks int
	sent     []*Sent
	accepted map[string]*Sent
	arrivals map[string]*arrival
	matched  int
}

// Spans are milliseconds at percentiles.
type Spans map[string]float64

// StepResult is what became of one step. Slow agencies' webhooks are counted apart and in no span.
type StepResult struct {
	Name      string           `json:"name"`
	Rate      float64          `json:"rate"`
	Seconds   float64          `json:"seconds"`
	Sent      int              `json:"sent"`
	Accepted  int              `json:"accepted"`
	Told      int              `json:"told"`
	ToldSlow  int              `json:"told_slow"`
	LostIDs   []string         `json:"lost_ids"`
	Doubled   int              `json:"doubled"`
	Refused   map[string]int   `json:"refused"`
	Latencies map[string]Spans `json:"latencies_ms"`
}

func newRecord(orders Orders) *Record {
	return &Record{webhooks: orders.Webhooks, accepted: map[string]*Sent{}, arrivals: map[string]*arrival{}}
}

func (record *Record) begin(step int, due time.Time) *Sent {
	sent := &Sent{step: step, due: due}
	record.lock.Lock()
	defer record.lock.Unlock()
	record.sent = append(record.sent, sent)
	return sent
}

func (record *Record) started(sent *Sent) {
	now := time.Now()
	record.lock.Lock()
	defer record.lock.Unlock()
	sent.started = now
}

func (record *Record) answered(sent *Sent, status int, caseRef string) {
	now := time.Now()
	record.lock.Lock()
	defer record.lock.Unlock()
	sent.status = status
	if status != 201 {
		return
	}
	sent.accepted, sent.caseRef = now, caseRef
	record.accepted[caseRef] = sent
	if record.isWhole(record.arrivals[caseRef]) {
		record.matched++
	}
}

func (record *Record) told(caseRef string, at time.Time, slow bool) {
	record.lock.Lock()
	defer record.lock.Unlock()
	known, ok := record.arrivals[caseRef]
	if !ok {
		known = &arrival{slow: slow}
		record.arrivals[caseRef] = known
	}
	known.times++
	if known.times != record.webhooks {
		return
	}
	known.whole = at
	if _, ours := record.accepted[caseRef]; ours {
		record.matched++
	}
}

func (record *Record) isWhole(arrived *arrival) bool {
	return arrived != nil && arrived.times >= record.webhooks
}

func (record *Record) counts() (sent, accepted, told int) {
	record.lock.Lock()
	defer record.lock.Unlock()
	return len(record.sent), len(record.accepted), record.matched
}

func (record *Record) waiting() int {
	_, accepted, told := record.counts()
	return accepted - told
}

type span struct {
	name string
	of   func(sent *Sent, arrived *arrival) (time.Duration, bool)
}

func told(sent *Sent, arrived *arrival) bool {
	return sent.caseRef != "" && arrived != nil && !arrived.whole.IsZero() && !arrived.slow
}

var spans = []span{
	{"own_lag", func(sent *Sent, _ *arrival) (time.Duration, bool) { return sent.started.Sub(sent.due), true }},
	{"due_to_accepted", func(sent *Sent, _ *arrival) (time.Duration, bool) {
		return sent.accepted.Sub(sent.due), sent.caseRef != ""
	}},
	{"accepted_to_told", func(sent *Sent, arrived *arrival) (time.Duration, bool) {
		if !told(sent, arrived) {
			return 0, false
		}
		return arrived.whole.Sub(sent.accepted), true
	}},
	{"due_to_told", func(sent *Sent, arrived *arrival) (time.Duration, bool) {
		if !told(sent, arrived) {
			return 0, false
		}
		return arrived.whole.Sub(sent.due), true
	}},
}

func (record *Record) result(folder string, number int, step Step) StepResult {
	record.lock.Lock()
	defer record.lock.Unlock()
	result := StepResult{Name: step.Name, Rate: step.Rate, Seconds: step.Seconds, LostIDs: []string{},
		Refused: map[string]int{}, Latencies: map[string]Spans{}}
	histograms := map[string]*hdrhistogram.Histogram{}
	for _, each := range spans {
		histograms[each.name] = hdrhistogram.New(1, longestMicroseconds, 3)
	}
	for _, sent := range record.sent {
		if sent.step != number {
			continue
		}
		arrived := record.arrivals[sent.caseRef]
		record.count(&result, sent, arrived)
		for _, each := range spans {
			if took, known := each.of(sent, arrived); known {
				must(histograms[each.name].RecordValue(min(max(took.Microseconds(), 1), longestMicroseconds)))
			}
		}
	}
	for name, histogram := range histograms {
		result.Latencies[name] = figures(histogram)
		write(filepath.Join(folder, fmt.Sprintf("%s.%s.hgrm", step.Name, name)), histogram)
	}
	return result
}

func (record *Record) count(result *StepResult, sent *Sent, arrived *arrival) {
	result.Sent++
	switch {
	case sent.caseRef == "":
		result.Refused[fmt.Sprint(sent.status)]++
		return
	case !record.isWhole(arrived):
		result.LostIDs = append(result.LostIDs, sent.caseRef)
	case arrived.slow:
		result.ToldSlow++
	default:
		result.Told++
		if arrived.times > record.webhooks {
			result.Doubled++
		}
	}
	result.Accepted++
}

func figures(histogram *hdrhistogram.Histogram) Spans {
	of := func(percentile float64) float64 { return float64(histogram.ValueAtQuantile(percentile)) / 1000 }
	return Spans{"p50": of(50), "p90": of(90), "p99": of(99), "p99.9": of(99.9), "max": float64(histogram.Max()) / 1000}
}

func write(path string, histogram *hdrhistogram.Histogram) {
	file, err := os.Create(path)
	must(err)
	defer file.Close()
	_, err = histogram.PercentilesPrint(file, 5, 1000)
	must(err)
}

// writeJournal keeps each request's instants in seconds of the machine's clock; an empty one has not come.
func (record *Record) writeJournal(path string) {
	record.lock.Lock()
	defer record.lock.Unlock()
	file, err := os.Create(path)
	must(err)
	defer file.Close()
	lines := bufio.NewWriter(file)
	fmt.Fprintln(lines, "started,accepted,told")
	for _, sent := range record.sent {
		var whole time.Time
		if arrived := record.arrivals[sent.caseRef]; arrived != nil {
			whole = arrived.whole
		}
		fmt.Fprintf(lines, "%s,%s,%s\n", instant(sent.started), instant(sent.accepted), instant(whole))
	}
	must(lines.Flush())
}

func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%.6f", float64(at.UnixMicro())/1e6)
}
