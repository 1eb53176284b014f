#pragma once

#include <dnnl.hpp>

#include "base/parallel.h"
#include "tensor/shape.h"

// Shared by the files of this folder, which are the only users of oneDNN.
namespace fastort::kernels::onednn {

// Throws Error(EngineError) with what was attempted and oneDNN's status.
void check(dnnl_status_t status, const char* what);

// The CPU engine of the process.
const dnnl::engine& engine();

// Primitives made in this scope, on this thread, count on that many threads.
class Concurrency {
 public:
  explicit Concurrency(int threads);
  ~Concurrency();
  Concurrency(const Concurrency&) = delete;
  Concurrency& operator=(const Concurrency&) = delete;

 private:
  int before_ = 1;
};

// Runs a primitive that was made for `threads` threads, on our pool; returns when it is done.
void execute(const_dnnl_primitive_t primitive, const dnnl_exec_arg_t* args, int count, int threads,
             const Parallel& parallel);

// The description of a float tensor in one of our layouts (rank 3 to 5).
dnnl::memory::desc describe(const dnnl::memory::dims& dims, Layout layout);

// The name of a memory description's format, with all that a packed weight depends on.
std::string format_name(const dnnl::memory::desc& desc);

// The arguments of one primitive: memory objects that are handed new addresses before each call.
class Arguments {
 public:
  Arguments() = default;
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  void add(int arg, const dnnl::memory::desc& desc);
  // Arguments are numbered in the order of `add`.
  void set(int index, const void* data);
  const dnnl_exec_arg_t* data() const { return args_; }
  int size() const { return size_; }

 private:
  static constexpr int kMax = 6;
  dnnl_exec_arg_t args_[kMax] = {};
  int size_ = 0;
};

}  // namespace fastort::kernels::onednn
