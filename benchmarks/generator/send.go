package main

import (
	"bytes"
	crypto "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"sync"
	"time"
)

const sendingSeconds = 60

// send follows the seeded Poisson schedule, with no cap on what is under way, and returns when all are answered.
func send(orders Orders, record *Record) {
	drawn := rand.New(rand.NewSource(orders.Seed))
	client := newClient()
	var underWay sync.WaitGroup
	due := time.Now().Add(200 * time.Millisecond)
	number := 0
	for index, step := range orders.Steps {
		end := due.Add(time.Duration(step.Seconds * float64(time.Second)))
		for ; due.Before(end); due = due.Add(time.Duration(drawn.ExpFloat64() / step.Rate * float64(time.Second))) {
			time.Sleep(time.Until(due))
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

// body is the ordered intake with a name, a telephone, a commune and an instant of its own.
func body(orders Orders, number int) []byte {
	intake := make(map[string]any, len(orders.Intake)+4)
	for name, value := range orders.Intake {
		intake[name] = value
	}
	intake["received_at"] = time.Now().UTC().Format(time.RFC3339Nano)
	intake["commune_code"] = orders.Communes[number%len(orders.Communes)]
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
