package driver

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	tesseramysql "github.com/transparency-dev/tessera/storage/mysql"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

//go:embed schema.sql
var schema string

// The waits of a connection. A lock is waited for 50 s by the server's default, so that a reading that
// takes longer than that is a server that does not answer.
const (
	dialWait  = 10 * time.Second
	replyWait = 90 * time.Second
	lockWait  = 10 // seconds for the writer before us to be noticed dead
	maxConns  = 16
)

// minPacket is what the server has to take in one piece: a full bundle of the largest leaves.
const minPacket = layout.EntryBundleWidth*(translog.MaxLeaf+2) + 64<<10

// database is a MySQL database that holds a log, or gives leaves their places.
type database struct {
	server
	cfg  *mysql.Config
	pool *sql.DB
	held *sql.Conn // holds the lock that says a process writes here
}

// quiet silences the client's own logger once per process: our log is the program's.
var quiet = sync.OnceFunc(func() { _ = mysql.SetLogger(&mysql.NopLogger{}) }) // it refuses nil alone

func (p Place) database() (*database, error) {
	quiet()
	secret, err := p.password()
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = p.mysql.user, secret, p.mysql.network, p.mysql.address, p.mysql.database
	c.Timeout, c.ReadTimeout, c.WriteTimeout = dialWait, replyWait, replyWait
	if host, _, err := net.SplitHostPort(c.Addr); c.Net == "tcp" && err == nil && !loopback(host) {
		c.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		c.TLSConfig = "true" // the same, for whoever is given the settings as text
	}
	d := &database{server: p.mysql, cfg: c}
	return d, d.connect()
}

// connect makes the pool; nothing is dialled yet.
func (d *database) connect() error {
	c, err := mysql.NewConnector(d.cfg)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	d.pool = sql.OpenDB(c)
	d.pool.SetMaxOpenConns(maxConns)
	d.pool.SetMaxIdleConns(4)
	d.pool.SetConnMaxIdleTime(time.Minute)
	return nil
}

// claim makes the database ours to write in: the server is one that keeps what it has answered for,
// nobody else writes here, and the log here is that of the signer.
func (d *database) claim(ctx context.Context, signer note.Signer) error {
	if err := d.examine(ctx); err != nil {
		return err
	}
	if err := d.hold(ctx); err != nil {
		return err
	}
	if _, err := d.pool.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS `TocsinLog` (`id` TINYINT UNSIGNED NOT NULL, `owner` VARCHAR(512) NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB"); err != nil {
		return plain(err)
	}
	me := fmt.Sprintf("%s+%08x", signer.Name(), signer.KeyHash())
	if _, err := d.pool.ExecContext(ctx, "INSERT IGNORE INTO `TocsinLog` (`id`, `owner`) VALUES (0, ?)", me); err != nil {
		return plain(err)
	}
	var owner string
	if err := d.pool.QueryRowContext(ctx, "SELECT `owner` FROM `TocsinLog` WHERE `id` = 0").Scan(&owner); err != nil {
		return plain(err)
	}
	if owner != me {
		return fmt.Errorf("%w: give each log a database of its own", errOther)
	}
	return nil
}

// examine asks the server for what its kind does differently, and refuses one that would lose or
// refuse what it has to keep.
func (d *database) examine(ctx context.Context) error {
	rows, err := d.pool.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'max_allowed_packet')")
	if err != nil {
		return plain(err)
	}
	defer rows.Close()
	is := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return plain(err)
		}
		is[strings.ToLower(name)] = value
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return plain(err)
	}
	if v, ok := is["innodb_flush_log_at_trx_commit"]; ok && v != "1" {
		return fmt.Errorf("the server may lose what it has answered for when its power fails: set innodb_flush_log_at_trx_commit=1 in its configuration (it is %s)", v)
	}
	if n, err := strconv.ParseInt(is["max_allowed_packet"], 10, 64); err == nil && n < minPacket {
		return fmt.Errorf("the server takes packets of %d MiB, and 256 leaves may have more: set max_allowed_packet=64M in its configuration, and restart it", n>>20)
	}
	// The library names no engine for the tables it makes.
	d.cfg.Params = map[string]string{"default_storage_engine": "InnoDB"}
	old := d.pool
	return errors.Join(d.connect(), old.Close())
}

// hold takes the lock by which one process at a time writes here. The server gives it up when the
// connection ends, so a process that was killed holds nothing.
func (d *database) hold(ctx context.Context) error {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return plain(err)
	}
	sum := sha256.Sum256([]byte(d.database))
	var got sql.NullInt64
	if _, err = conn.ExecContext(ctx, "SET SESSION wait_timeout = 31536000"); err == nil {
		err = conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", "tocsin-"+hex.EncodeToString(sum[:16]), lockWait).Scan(&got)
	}
	if err == nil && got.Int64 != 1 {
		err = errors.New("another process writes to this log: stop that one, or give each its own database")
	}
	if err != nil {
		return errors.Join(plain(err), conn.Close())
	}
	d.held = conn
	return nil
}

// settled reads a number under its lock: whoever held it, and may have been cut off in the middle, has
// committed or never will.
func (d *database) settled(ctx context.Context, query string) (n uint64, err error) {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return 0, plain(err)
	}
	defer tx.Rollback() // nothing is written
	return n, plain(tx.QueryRowContext(ctx, query).Scan(&n))
}

// Close gives up the lock and the connections.
func (d *database) Close() error {
	var err error
	if d.held != nil {
		err = d.held.Close() // back into the pool, which ends it
		d.held = nil
	}
	return errors.Join(err, d.pool.Close())
}

// plain is an error of the database in one line that says what to do where that is known.
func plain(err error) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Number {
	case 1045, 1698:
		return errors.New("the server refuses the account: look at its name in the URL, and at password_file or MYSQL_PWD")
	case 1044, 1142:
		return errors.New("the account may not do what a log needs: grant it all rights on its database")
	case 1049:
		return errors.New("the server has no such database: make it, empty, and grant the account all rights on it")
	}
	return err
}

// tiles is a log in MySQL.
type tiles struct{ *database }

func (p Place) openMySQL() (translog.Storage, error) {
	d, err := p.database()
	if err != nil {
		return nil, err
	}
	return tiles{d}, nil
}

func (t tiles) String() string { return "mysql://" + t.server.String() }

// Driver claims the database and makes its tables. The library asks the witnesses by Go's own client:
// this driver of it takes no other.
func (t tiles) Driver(ctx context.Context, signer note.Signer, _ *http.Client) (tessera.Driver, error) {
	if err := t.claim(ctx, signer); err != nil {
		return nil, err
	}
	for statement := range strings.SplitSeq(schema, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := t.pool.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("make its tables: %w", plain(err))
		}
	}
	if err := mine(ctx, t, signer); err != nil {
		return nil, err
	}
	return tesseramysql.New(ctx, t.pool)
}

func (t tiles) Settle(ctx context.Context) (uint64, error) {
	return t.settled(ctx, "SELECT `size` FROM `TreeState` WHERE `id` = 0 FOR UPDATE")
}

func (t tiles) Remove(ctx context.Context, bundle uint64) error {
	_, err := t.pool.ExecContext(ctx, "DELETE FROM `TiledLeaves` WHERE `tile_index` = ?", bundle)
	return plain(err)
}

func (t tiles) Published(ctx context.Context) (time.Time, error) {
	var at int64
	if err := t.pool.QueryRowContext(ctx, "SELECT `published_at` FROM `Checkpoint` WHERE `id` = 0").Scan(&at); err != nil {
		return time.Time{}, plain(err)
	}
	return time.UnixMilli(at), nil
}

func (tiles) Poll() time.Duration { return 50 * time.Millisecond }

func (t tiles) Read(ctx context.Context, name string) ([]byte, error) {
	return readRow(ctx, t.pool, name)
}

// querier is the pool or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readRow reads a file of a log by its name in C2SP tlog-tiles. There is one row for a tile and for a
// bundle, which grows; a partial one is its beginning.
func readRow(ctx context.Context, at querier, name string) ([]byte, error) {
	var raw []byte
	scan := func(query string, args ...any) error {
		err := at.QueryRowContext(ctx, query, args...).Scan(&raw)
		var e *mysql.MySQLError
		if errors.Is(err, sql.ErrNoRows) || errors.As(err, &e) && e.Number == 1146 { // no such table: nobody has made the log yet
			return fs.ErrNotExist
		}
		return plain(err)
	}
	if name == layout.CheckpointPath {
		return raw, scan("SELECT `note` FROM `Checkpoint` WHERE `id` = 0")
	}
	a, err := parseAddress(name)
	if err != nil {
		return nil, err
	}
	want := int(a.partial)
	if want == 0 {
		want = layout.TileWidth
	}
	if !a.entries {
		if err := scan("SELECT `nodes` FROM `Subtree` WHERE `level` = ? AND `index` = ?", a.level, a.index); err != nil {
			return nil, err
		}
		if len(raw) < want*sha256.Size {
			return nil, fs.ErrNotExist
		}
		return raw[:want*sha256.Size], nil
	}
	if err := scan("SELECT `data` FROM `TiledLeaves` WHERE `tile_index` = ?", a.index); err != nil {
		return nil, err
	}
	var b api.EntryBundle
	if err := b.UnmarshalText(raw); err != nil {
		return nil, err
	}
	if len(b.Entries) < want {
		return nil, fs.ErrNotExist
	}
	n := 0
	for _, e := range b.Entries[:want] {
		n += 2 + len(e)
	}
	return raw[:n], nil
}

// address is what the name of a tile or a bundle says.
type address struct {
	entries      bool
	level, index uint64
	partial      uint8
}

func parseAddress(name string) (a address, err error) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(name, "tile/"), "/")
	if a.entries = kind == "entries"; a.entries {
		a.index, a.partial, err = layout.ParseTileIndexPartial(rest)
	} else {
		a.level, a.index, a.partial, err = layout.ParseTileLevelIndexPartial(kind, rest)
	}
	if err != nil || !strings.HasPrefix(name, "tile/") {
		return a, fs.ErrNotExist
	}
	return a, nil
}
