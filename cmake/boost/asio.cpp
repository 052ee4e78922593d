// Asio asks for rings of 16384 entries, which take 1.6 MiB. Linux counts rings (again since 6.14) against what a user
// may lock, 8 MiB as a rule: a few loops would spend it. A ring that is full is handed to the kernel and used again, so
// that far smaller ones do.
#if defined(BOOST_ASIO_HAS_IO_URING)
#include <liburing.h>
static int queue_init_of_fitting_size(unsigned, io_uring* ring, unsigned flags) {
  return io_uring_queue_init(512, ring, flags);
}
#define io_uring_queue_init queue_init_of_fitting_size
#endif
#include <boost/asio/impl/src.hpp>
