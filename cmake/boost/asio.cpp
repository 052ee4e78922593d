#if defined(BOOST_ASIO_HAS_IO_URING)
#include <errno.h>
#include <liburing.h>
#include <time.h>

// Asio asks for rings of 16384 entries, which take 1.6 MiB. Linux counts rings (again since 6.14) against what a user
// may lock, 8 MiB as a rule: a few loops would spend it. A ring that is full is handed to the kernel and used again, so
// that far smaller ones do. Linux takes rings down some time after they were closed and counts them until then: who has
// closed many waits for that.
static int queue_init_of_fitting_size(unsigned, io_uring* ring, unsigned flags) {
  constexpr timespec pause{.tv_sec = 0, .tv_nsec = 20'000'000};
  int result = io_uring_queue_init(512, ring, flags);
  for (int tries = 0; result == -ENOMEM && tries < 100; ++tries) {
    nanosleep(&pause, nullptr);
    result = io_uring_queue_init(512, ring, flags);
  }
  return result;
}

// Asio (as of Boost 1.81) says of a cancellation only what is to be cancelled, and the entry keeps whom it belonged to
// when the ring went round last: that one would be told the outcome, as the end of a wait that goes on, or after it is
// gone.
static io_uring_sqe* entry_of_nobody(io_uring* ring) {
  auto* entry = io_uring_get_sqe(ring);
  if (entry != nullptr) io_uring_sqe_set_data(entry, nullptr);
  return entry;
}

#define io_uring_queue_init queue_init_of_fitting_size
#define io_uring_get_sqe entry_of_nobody
#endif
#include <boost/asio/impl/src.hpp>
