package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// serve receives webhooks at /hook/<agency>. It listens before it returns.
func serve(orders Orders, record *Record) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", orders.SinkPort))
	must(err)
	handler := func(writer http.ResponseWriter, request *http.Request) {
		at := time.Now()
		var told struct {
			Data struct {
				CaseRef string `json:"case_ref"`
			} `json:"data"`
		}
		if err := json.NewDecoder(request.Body).Decode(&told); err != nil {
			writer.WriteHeader(http.StatusBadRequest)
			return
		}
		seconds, isSlow := orders.Slow[strings.TrimPrefix(request.URL.Path, "/hook/")]
		record.told(told.Data.CaseRef, at, isSlow)
		answer(writer, request, seconds)
	}
	go func() { must(http.Serve(listener, http.HandlerFunc(handler))) }()
}

func answer(writer http.ResponseWriter, request *http.Request, seconds float64) {
	if seconds < 0 {
		<-request.Context().Done()
		return
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	writer.WriteHeader(http.StatusNoContent)
}
