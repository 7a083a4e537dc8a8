package main

import (
	"bytes"
	crypto "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"sync"
	"time"
)

const sendingSeconds = 60

// send follows the seeded Poisson schedule, with no cap on what is under way, and returns when all are answered.
// After enough, the step under way is as long as it was, and no other follows.
func send(orders Orders, record *Record, enough <-chan os.Signal) {
	drawn := rand.New(rand.NewSource(orders.Seed))
	client := newClient()
	var underWay sync.WaitGroup
	due := time.Now().Add(200 * time.Millisecond)
	number, stopped := 0, false
	for index := range orders.Steps {
		step, began := &orders.Steps[index], due
		end := due.Add(time.Duration(step.Seconds * float64(time.Second)))
		for ; due.Before(end); due = due.Add(time.Duration(drawn.ExpFloat64() / step.Rate * float64(time.Second))) {
			if stopped = stopped || !isDue(due, enough); stopped {
				step.Seconds = max(0, time.Since(began).Seconds())
				break
			}
			number++
			sent := record.begin(index, due)
			underWay.Add(1)
			go func(number int) {
				defer underWay.Done()
				submit(client, orders, record, sent, number)
			}(number)
		}
	}
	underWay.Wait()
}

// isDue waits for the instant; false when enough has come before it.
func isDue(due time.Time, enough <-chan os.Signal) bool {
	select {
	case <-enough:
		return false
	case <-time.After(time.Until(due)):
		return true
	}
}

func newClient() *http.Client {
	transport := &http.Transport{MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, DisableCompression: true}
	return &http.Client{Transport: transport, Timeout: sendingSeconds * time.Second}
}

func submit(client *http.Client, orders Orders, record *Record, sent *Sent, number int) {
	request, err := http.NewRequest("POST", orders.SubmitURL, bytes.NewReader(body(orders, number)))
	must(err)
	request.Header.Set("Authorization", "Bearer "+orders.Key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", random(16))
	record.started(sent)
	answer, err := client.Do(request)
	if err != nil {
		record.answered(sent, 599, "")
		return
	}
	defer answer.Body.Close()
	content, _ := io.ReadAll(answer.Body)
	var told struct {
		CaseRef string `json:"case_ref"`
	}
	_ = json.Unmarshal(content, &told)
	record.answered(sent, answer.StatusCode, told.CaseRef)
}

// body is the ordered intake with a name, a telephone and an instant of its own, and what its turn says.
func body(orders Orders, number int) []byte {
	intake := make(map[string]any, len(orders.Intake)+4)
	variant := orders.Variants[orders.Turns[number%len(orders.Turns)]]
	for _, given := range []map[string]any{orders.Intake, variant} {
		for name, value := range given {
			intake[name] = value
		}
	}
	intake["received_at"] = time.Now().UTC().Format(time.RFC3339Nano)
	intake["phone"] = fmt.Sprintf("+2126000%05d", number%100_000)
	intake["names"] = []map[string]string{{"script": "Latn", "role": "full", "value": aName()}}
	content, err := json.Marshal(intake)
	must(err)
	return content
}

// aName differs in every run: the same one again would be held as a possible duplicate.
func aName() string {
	letters := []byte("bdfgklmnrstz")
	drawn := make([]byte, 12)
	_, err := crypto.Read(drawn)
	must(err)
	for place, value := range drawn {
		drawn[place] = letters[int(value)%len(letters)]
	}
	return "Load " + string(bytes.ToUpper(drawn[:1])) + string(drawn[1:]) + " Example"
}

func random(size int) string {
	drawn := make([]byte, size)
	_, err := crypto.Read(drawn)
	must(err)
	return fmt.Sprintf("%x", drawn)
}
