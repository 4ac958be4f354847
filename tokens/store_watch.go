package tokens

import (
	"context"
	"time"
)

// look is how often Run looks at the file: someone who signed in beside a running relay sees it go on within a
// second.
const look = 500 * time.Millisecond

// Run notices what other processes store, and writes what could not be written yet, until ctx ends; then it tries
// once more, since memory ends too.
func (s *Store) Run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.glance(true)
			return
		case <-ticker.C:
			for _, account := range s.glance(false) {
				if s.changed != nil {
					s.changed(account)
				}
			}
		}
	}
}

// glance looks at the file once, and returns the accounts with a new sign-in.
func (s *Store) glance(atOnce bool) (news []string) {
	defer s.sound()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload() // its trouble is in s.problem, or concerns nobody yet
	if len(s.waiting) > 0 && (atOnce || !time.Now().Before(s.next)) {
		s.save()
	}
	for account := range s.news {
		news = append(news, account)
	}
	clear(s.news)
	return news
}
