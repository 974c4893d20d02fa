// The bare loop in Go: receive ten, a goroutine a message, delete them in one call.
// The SDK's own signer and net/http; each body is parsed under a deadline when BENCH_PARSE is 1.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const perReceive = 10

type message struct {
	MessageId     string
	ReceiptHandle string
	Body          string
}

type entry struct {
	Id            string
	ReceiptHandle string
}

// What the worker's reader takes of an event, too.
type event struct {
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Account    string    `json:"account"`
	Time       time.Time `json:"time"`
	Detail     struct {
		TopicName string    `json:"topicName"`
		Timestamp time.Time `json:"timestamp"`
		EventBody struct {
			ConversationID        string  `json:"conversationId"`
			CommunicationID       string  `json:"communicationId"`
			SentimentOverallScore float64 `json:"sentimentOverallScore"`
		} `json:"eventBody"`
	} `json:"detail"`
}

type consumer struct {
	http     *http.Client
	signer   *v4.Signer
	keys     aws.Credentials
	endpoint string
	queue    string
	parse    bool
}

func (c *consumer) call(action string, input any, output any) {
	body, err := json.Marshal(input)
	must(err)
	request, err := http.NewRequest(http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	must(err)
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	digest := sha256.Sum256(body)
	must(c.signer.SignHTTP(context.Background(), c.keys, request,
		hex.EncodeToString(digest[:]), "sqs", "us-east-1", time.Now()))
	reply, err := c.http.Do(request)
	must(err)
	defer reply.Body.Close()
	content, err := io.ReadAll(reply.Body)
	must(err)
	if output != nil {
		must(json.Unmarshal(content, output))
	}
}

// Parses under a deadline, as a handler would run.
func (c *consumer) handle(one message) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if c.parse && ctx.Err() == nil {
		var found event
		must(json.Unmarshal([]byte(one.Body), &found))
	}
}

func (c *consumer) loop() {
	receive := map[string]any{
		"QueueUrl": c.queue, "MaxNumberOfMessages": perReceive, "WaitTimeSeconds": 10,
	}
	for {
		var reply struct{ Messages []message }
		c.call("ReceiveMessage", receive, &reply)
		if len(reply.Messages) == 0 {
			continue
		}
		var handlers sync.WaitGroup
		entries := make([]entry, len(reply.Messages))
		for place, one := range reply.Messages {
			handlers.Add(1)
			go func(place int, one message) {
				defer handlers.Done()
				c.handle(one)
				entries[place] = entry{strconv.Itoa(place), one.ReceiptHandle}
			}(place, one)
		}
		handlers.Wait()
		c.call("DeleteMessageBatch", map[string]any{"QueueUrl": c.queue, "Entries": entries}, nil)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	concurrency, err := strconv.Atoi(os.Getenv("BENCH_CONCURRENCY"))
	must(err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = concurrency
	transport.DisableCompression = true
	transport.ForceAttemptHTTP2 = false
	one := consumer{
		http:     &http.Client{Transport: transport},
		signer:   v4.NewSigner(),
		keys:     aws.Credentials{AccessKeyID: "x", SecretAccessKey: "x"},
		endpoint: os.Getenv("BENCH_ENDPOINT"),
		queue:    os.Getenv("BENCH_QUEUE_URL"),
		parse:    os.Getenv("BENCH_PARSE") == "1",
	}
	var loops sync.WaitGroup
	for range make([]struct{}, (concurrency+perReceive-1)/perReceive) {
		loops.Add(1)
		go one.loop()
	}
	loops.Wait()
}
