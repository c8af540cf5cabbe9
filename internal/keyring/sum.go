package keyring

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
)

// sumOf is the checksum that is kept beside a key. It is no secret of its own: whoever can write the file
// can write this too. It tells a key that a disk or a hand damaged from one that was made: a pseudonym
// made with another key looks like that of another customer, and nothing else would notice.
func sumOf(s slot, key []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "tocsin key\n%q %q\n%x", s.purpose, s.id, key))
	return sum[:8]
}

// addSums gives a database of an earlier version its checksums. A crash leaves some keys without; the next
// Open goes on.
func addSums(db *sql.DB) (err error) {
	var known int
	if err := db.QueryRow(`SELECT count(*) FROM pragma_table_info('keys') WHERE name = 'sum'`).Scan(&known); err != nil {
		return err
	}
	if known == 0 {
		if _, err := db.Exec(`ALTER TABLE keys ADD COLUMN sum BLOB`); err != nil {
			return err
		}
	}
	var lacks bool
	if err := db.QueryRow(`SELECT EXISTS (SELECT 1 FROM keys WHERE sum IS NULL)`).Scan(&lacks); err != nil || !lacks {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignore(tx.Rollback())) }()
	rows, err := tx.Query(`SELECT purpose, id, key FROM keys WHERE sum IS NULL`)
	if err != nil {
		return err
	}
	type one struct {
		slot
		sum []byte
	}
	var all []one
	for rows.Next() {
		var s slot
		var key []byte
		if err := rows.Scan(&s.purpose, &s.id, &key); err != nil {
			return errors.Join(err, rows.Close())
		}
		all = append(all, one{s, sumOf(s, key)})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, x := range all {
		if _, err := tx.Exec(`UPDATE keys SET sum = ? WHERE purpose = ? AND id = ?`, x.sum, x.purpose, x.id); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func ignore(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Check reads every key and compares it with its checksum. The error is ErrAltered where one is not what
// was made.
func (r *Ring) Check() (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, ErrClosed
	}
	rows, err := r.db.Query(`SELECT purpose, id, key, sum FROM keys`)
	if err != nil {
		return 0, fmt.Errorf("keyring: read %s: %w", fileName, err)
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var s slot
		var key, sum []byte
		if err := rows.Scan(&s.purpose, &s.id, &key, &sum); err != nil {
			return n, fmt.Errorf("keyring: read %s: %w", fileName, err)
		}
		if string(sum) != string(sumOf(s, key)) {
			return n, fmt.Errorf("%w: %s: key %s/%s", ErrAltered, fileName, s.purpose, s.id)
		}
	}
	if err := rows.Err(); err != nil {
		return n, fmt.Errorf("keyring: read %s: %w", fileName, err)
	}
	return n, nil
}
