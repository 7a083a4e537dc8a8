// Open-loop load and the sink of its webhooks, in one process on one monotonic clock.
//
// Rule: a request is sent when its drawn time has come, whatever became of those before it, and its latency counts
// from that time. An id that is lost or comes twice, or a late generator, voids the run; the caller judges.
//
//	generator ORDERS.json FOLDER    writes FOLDER/result.json and one .hgrm for each step and span
//
// SIGUSR1: enough is sent; what was sent is waited for and written as ever.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Step is a stretch of the schedule at one rate, per second.
type Step struct {
	Name    string  `json:"name"`
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
}

// Orders say what to send, where and when. Webhooks: how many an intake causes.
// Variants: what differs between intakes; Turns: which of them comes when, over and over.
// Slow: seconds until an agency's answer; below zero it never answers. Journal: the instants of each are written.
type Orders struct {
	SubmitURL    string             `json:"submit_url"`
	Key          string             `json:"key"`
	SinkPort     int                `json:"sink_port"`
	Steps        []Step             `json:"steps"`
	Seed         int64              `json:"seed"`
	DrainSeconds float64            `json:"drain_seconds"`
	Variants     []map[string]any   `json:"variants"`
	Turns        []int              `json:"turns"`
	Intake       map[string]any     `json:"intake"`
	Webhooks     int                `json:"webhooks"`
	Slow         map[string]float64 `json:"slow"`
	Journal      bool               `json:"journal"`
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: generator ORDERS.json FOLDER")
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10) // where we may: whoever measures goes first
	orders := readOrders(os.Args[1])
	record := newRecord(orders)
	serve(orders, record)
	stopTelling := tell(record)
	send(orders, record, enough())
	drain(orders, record)
	close(stopTelling)
	writeResult(os.Args[2], orders, record)
}

func enough() <-chan os.Signal {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	return asked
}

func readOrders(path string) Orders {
	var orders Orders
	content, err := os.ReadFile(path)
	must(err)
	must(json.Unmarshal(content, &orders))
	return orders
}

// tell prints how far it is, five times a second, for whoever steers the system under load.
func tell(record *Record) chan struct{} {
	stop := make(chan struct{})
	go func() {
		began := time.Now()
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				sent, accepted, told := record.counts()
				fmt.Printf(`{"seconds": %.3f, "sent": %d, "accepted": %d, "told": %d}`+"\n",
					time.Since(began).Seconds(), sent, accepted, told)
			}
		}
	}()
	return stop
}

func drain(orders Orders, record *Record) {
	deadline := time.Now().Add(time.Duration(orders.DrainSeconds * float64(time.Second)))
	for record.waiting() > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond) // a second webhook for an id would come now
}

func writeResult(folder string, orders Orders, record *Record) {
	steps := make([]StepResult, len(orders.Steps))
	for number, step := range orders.Steps {
		steps[number] = record.result(folder, number, step)
	}
	result := map[string]any{"steps": steps, "cpu_seconds": ownCPU().Seconds()}
	content, err := json.MarshalIndent(result, "", "  ")
	must(err)
	must(os.WriteFile(filepath.Join(folder, "result.json"), content, 0o644))
	if orders.Journal {
		record.writeJournal(filepath.Join(folder, "journal.csv"))
	}
}

// ownCPU is what sending and receiving took of the machine until now.
func ownCPU() time.Duration {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
