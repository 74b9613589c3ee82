// The figures of bench-data for Postgres, measured with pgx 4. The tables must exist.
//
//	pgx NAME URL [SECONDS]
package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	warmUp = 500 * time.Millisecond
	query  = "SELECT id, randomnumber FROM world WHERE id = $1"
)

type world struct{ id, randomNumber int32 }

type operation func(numbers *rand.Rand) error

func main() {
	if len(os.Args) < 3 {
		fail("Usage: pgx NAME URL [SECONDS]")
	}
	seconds := 3
	if len(os.Args) > 3 {
		parsed, err := strconv.Atoi(os.Args[3])
		check(err)
		seconds = parsed
	}
	name, duration := os.Args[1], time.Duration(seconds)*time.Second
	switch name {
	case "postgres-point-reads":
		pool := open(os.Args[2], 16)
		count, elapsed, _ := measure(64, duration, func(numbers *rand.Rand) error { return read(pool, numbers) })
		fmt.Printf("FIGURE %s %.1f reads/s\n", name, float64(count)/elapsed.Seconds())
	case "postgres-batch-cpu":
		pool := open(os.Args[2], 16)
		count, _, used := measure(64, duration, func(numbers *rand.Rand) error { return readBatch(pool, numbers) })
		fmt.Printf("FIGURE %s %.1f µs/20-reads\n", name, float64(used.Nanoseconds())/1000/float64(count))
	default:
		fail("There is no figure " + name)
	}
}

func open(url string, connections int32) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(url)
	check(err)
	config.MaxConns = connections
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	check(err)
	return pool
}

func read(pool *pgxpool.Pool, numbers *rand.Rand) error {
	var w world
	return pool.QueryRow(context.Background(), query, numbers.Int31n(10000)+1).Scan(&w.id, &w.randomNumber)
}

func readBatch(pool *pgxpool.Pool, numbers *rand.Rand) error {
	batch := &pgx.Batch{}
	for i := 0; i < 20; i++ {
		batch.Queue(query, numbers.Int31n(10000)+1)
	}
	results := pool.SendBatch(context.Background(), batch)
	for i := 0; i < 20; i++ {
		var w world
		if err := results.QueryRow().Scan(&w.id, &w.randomNumber); err != nil {
			results.Close()
			return err
		}
	}
	return results.Close()
}

// measure returns how often the operation ran, how long that took, and the CPU time of this process.
func measure(tasks int, duration time.Duration, run operation) (int, time.Duration, time.Duration) {
	repeat(tasks, warmUp, run)
	start, before := time.Now(), processorTime()
	count := repeat(tasks, duration, run)
	return count, time.Since(start), processorTime() - before
}

func repeat(tasks int, duration time.Duration, run operation) int {
	end := time.Now().Add(duration)
	counts := make([]int, tasks)
	var group sync.WaitGroup
	for task := range counts {
		group.Add(1)
		go func(task int) {
			defer group.Done()
			numbers := rand.New(rand.NewSource(int64(task)))
			count := 0
			for ; time.Now().Before(end); count++ {
				check(run(numbers))
			}
			counts[task] = count
		}(task)
	}
	group.Wait()
	total := 0
	for _, count := range counts {
		total += count
	}
	return total
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
