// redis-quota from Go with go-redis: one type, then a tour of it.
//
//	REDIS_URL=redis://host:6379 CLUSTER_URL=redis://host:7000 go run .
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Verdict is what every limit replies.
type Verdict struct{ Granted, Limit, Remaining, WaitMs, ResetMs, Rule int64 }

// OK is true where units were granted.
func (v Verdict) OK() bool { return v.Granted > 0 }

// Headers are the RateLimit fields for a reply of status 200, or 429 where nothing was granted.
func (v Verdict) Headers(name string) []string {
	var fields []string
	in := ceilSeconds(v.ResetMs)
	if !v.OK() {
		in = max(1, ceilSeconds(v.WaitMs))
	}
	never := !v.OK() && v.WaitMs < 0
	if !v.OK() && !never {
		fields = append(fields, fmt.Sprintf("Retry-After: %d", in))
	}
	if v.Limit >= 0 && v.Remaining >= 0 { // -1 is unlimited
		field := fmt.Sprintf("RateLimit: %q;r=%d", name, v.Remaining)
		if !never {
			field += fmt.Sprintf(";t=%d", in)
		}
		fields = append(fields, field)
	}
	return fields
}

func ceilSeconds(ms int64) int64 { return (ms + 999) / 1000 }

// Limits are the calls of a service; the client is shared by all goroutines.
type Limits struct{ client redis.UniversalClient }

func verdictOf(reply []any) Verdict {
	var n [6]int64
	for i, number := range reply {
		n[i] = number.(int64)
	}
	return Verdict{n[0], n[1], n[2], n[3], n[4], n[5]}
}

func (l Limits) verdict(ctx context.Context, words ...any) (Verdict, error) {
	reply, err := l.client.Do(ctx, words...).Slice()
	if err != nil {
		return Verdict{}, err
	}
	return verdictOf(reply), nil
}

// first is the first integer of a reply.
func (l Limits) first(ctx context.Context, words ...any) (int64, error) {
	n, err := l.client.Do(ctx, words...).Int64Slice()
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// Allow checks a rule of the rate limits: Allow(ctx, "user:42", 1, "10", "1s").
func (l Limits) Allow(ctx context.Context, key string, cost int64, rule ...any) (Verdict, error) {
	return l.verdict(ctx, append(append([]any{"RL.ALLOW", key}, rule...), "COST", cost)...)
}

// AllowAll charges every key, or none. In a cluster the keys have one hash tag: {acme}:user:7, {acme}:org.
func (l Limits) AllowAll(ctx context.Context, cost int64, keys []string, rules ...string) ([]Verdict, error) {
	words := []any{"RL.MALLOW", len(keys)}
	for _, key := range keys {
		words = append(words, key)
	}
	for _, rule := range rules {
		words = append(words, "WITH")
		for _, word := range strings.Fields(rule) {
			words = append(words, word)
		}
	}
	cmd := redis.NewCmd(ctx, append(words, "ALL", "COST", cost)...)
	cmd.SetFirstKeyPos(2)
	if err := l.client.Process(ctx, cmd); err != nil {
		return nil, err
	}
	replies, err := cmd.Slice()
	verdicts := make([]Verdict, len(replies))
	for i, reply := range replies {
		verdicts[i] = verdictOf(reply.([]any))
	}
	return verdicts, err
}

// Consume charges an account; a retry with the same id gets the same verdict and is charged nothing.
func (l Limits) Consume(ctx context.Context, account, resource string, amount int64, id string) (Verdict, error) {
	return l.verdict(ctx, "QUOTA.CONSUME", account, resource, amount, "ID", id)
}

// Refund gives units of a consumption back, and replies how many.
func (l Limits) Refund(ctx context.Context, account, resource string, amount int64, id string) (int64, error) {
	return l.first(ctx, "QUOTA.REFUND", account, resource, amount, "OF", id)
}

// Reserve holds units for a job.
func (l Limits) Reserve(ctx context.Context, account, job, resource string, amount int64, ttl string) (Verdict, error) {
	return l.verdict(ctx, "QUOTA.RESERVE", account, job, resource, amount, "TTL", ttl)
}

// Commit charges what the job used, also more than was reserved.
func (l Limits) Commit(ctx context.Context, account, job string, amount int64) (int64, error) {
	return l.first(ctx, "QUOTA.COMMIT", account, job, amount, "FORCE")
}

// Used is what the running cycle of the first limit has used.
func (l Limits) Used(ctx context.Context, account, resource string) (int64, error) {
	reply, err := l.client.Do(ctx, "QUOTA.INFO", account, resource).Result()
	if err != nil {
		return 0, err
	}
	rules := reply.(map[any]any)["rules"].([]any)
	return rules[0].(map[any]any)["used"].(int64), nil
}

// Lease waits on a connection of its own, and replies the fencing token, 0 where none came free in time.
func Lease(ctx context.Context, url, key string, limit int, ttl, wait time.Duration, id string) (int64, error) {
	client, err := connect(url, wait+time.Second)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	reply, err := client.Do(ctx, "RL.ACQUIRE", key, limit, fmt.Sprintf("%dms", ttl.Milliseconds()), "ID", id, "WAIT",
		fmt.Sprintf("%dms", wait.Milliseconds())).Slice()
	if err != nil {
		return 0, err
	}
	return reply[7].(int64), nil
}

// SetPlanEverywhere sets a plan on every primary of a cluster: plans are not keys.
func SetPlanEverywhere(ctx context.Context, cluster *redis.ClusterClient, words ...any) (int, error) {
	replies := make(chan struct{}, 1000)
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, primary *redis.Client) error {
		replies <- struct{}{}
		return primary.Do(ctx, append([]any{"QUOTA.PLAN", "SET"}, words...)...).Err()
	})
	return len(replies), err
}

// connect makes a pool. go-redis repeats a command after a network error unless that is switched off: without an id it
// could charge twice.
func connect(url string, patience time.Duration) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.MaxRetries, options.ReadTimeout = -1, patience
	return redis.NewClient(options), nil
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	ctx, url := context.Background(), os.Getenv("REDIS_URL")
	client := must(connect(url, 250*time.Millisecond))
	limits := Limits{client}

	verdict := must(limits.Allow(ctx, "user:42", 10, "10", "1h"))
	fmt.Printf("allow: granted %d, %d of %d left\n", verdict.Granted, verdict.Remaining, verdict.Limit)
	denied := must(limits.Allow(ctx, "user:42", 1, "10", "1h"))
	fmt.Println("denied: 429", strings.Join(denied.Headers("default"), ", "))

	must(client.Do(ctx, "QUOTA.PLAN", "SET", "pro", "tokens", "LIMIT", 100000, "month").Result())
	must(client.Do(ctx, "QUOTA.OPEN", "acme", "pro").Result())
	for range 2 {
		fmt.Println("consume: granted", must(limits.Consume(ctx, "acme", "tokens", 300, "request-1")).Granted)
	}
	fmt.Println("refund:", must(limits.Refund(ctx, "acme", "tokens", 100, "request-1")))
	must(limits.Reserve(ctx, "acme", "job-1", "tokens", 4000, "10m"))
	fmt.Println("commit:", must(limits.Commit(ctx, "acme", "job-1", 5100)))
	fmt.Println("used:", must(limits.Used(ctx, "acme", "tokens")))

	first := must(Lease(ctx, url, "printer", 1, time.Minute, time.Second, "a"))
	second := make(chan int64)
	go func() { second <- must(Lease(ctx, url, "printer", 1, time.Minute, 5*time.Second, "b")) }()
	for !strings.Contains(must(client.Info(ctx, "quota").Result()), "quota_waiting:1") { // the shared pool goes on
	}
	must(client.Do(ctx, "RL.RELEASE", "printer", "a").Result())
	fmt.Println("lease: a token that grows:", first < <-second)

	cluster := redis.NewClusterClient(must(redis.ParseClusterURL(os.Getenv("CLUSTER_URL"))))
	primaries := must(SetPlanEverywhere(ctx, cluster, "pro", "tokens", "LIMIT", 100000, "month"))
	fmt.Printf("cluster: plan on %d primaries\n", primaries)
	pipeline, verdicts, granted := cluster.Pipeline(), []*redis.Cmd{}, int64(0)
	for number := range 9 {
		account := fmt.Sprintf("customer:%d", number)
		pipeline.Do(ctx, "QUOTA.OPEN", account, "pro")
		verdicts = append(verdicts, pipeline.Do(ctx, "QUOTA.CONSUME", account, "tokens", 1, "ID", "request-1"))
	}
	must(pipeline.Exec(ctx))
	for _, verdict := range verdicts {
		granted += must(verdict.Int64Slice())[0]
	}
	fmt.Printf("cluster: granted %d in one pipeline\n", granted)
	both := must(Limits{cluster}.AllowAll(ctx, 1, []string{"{acme}:user:7", "{acme}:org"}, "10 1h", "100 1h"))
	fmt.Printf("cluster: %d and %d left\n", both[0].Remaining, both[1].Remaining)
}
