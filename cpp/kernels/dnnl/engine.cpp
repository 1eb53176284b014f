#include "kernels/dnnl/engine.h"

#include <dnnl_threadpool.h>

#include <dnnl_threadpool_iface.hpp>
#include <exception>
#include <vector>

namespace fastort::kernels::onednn {
namespace {

// oneDNN keeps compiled primitives in a cache of its own; our plans hold the ones in use.
constexpr int kPrimitiveCacheCapacity = 256;

// Hands oneDNN's regions to the pool under the limits of the run that is in progress on this thread.
class PoolAdapter final : public dnnl::threadpool_interop::threadpool_iface {
 public:
  int get_num_threads() const override { return threads_; }
  bool get_in_parallel() const override { return ThreadPool::in_parallel(); }
  uint64_t get_flags() const override { return 0; }
  void parallel_for(int n, const std::function<void(int, int)>& body) override {
    // An exception must not cross oneDNN, which would keep its thread-local state; `execute` throws it on.
    if (error_) return;
    try {
      parallel_->chunks(n, [&](int i) { body(i, n); });
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  void begin(const Parallel& parallel, int threads) {
    parallel_ = &parallel;
    threads_ = threads;
    error_ = nullptr;
  }
  void rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  const Parallel* parallel_ = nullptr;
  int threads_ = 1;
  std::exception_ptr error_;
};

// One for each thread that runs primitives, because oneDNN's streams are not shared between threads.
struct ThreadStream {
  PoolAdapter adapter;
  dnnl_stream_t stream = nullptr;

  ThreadStream() { check(dnnl_threadpool_interop_stream_create(&stream, engine().get(), &adapter), "create a stream"); }
  ~ThreadStream() { dnnl_stream_destroy(stream); }
};

const char* status_name(dnnl_status_t status) {
  switch (status) {
    case dnnl_out_of_memory:
      return "out of memory";
    case dnnl_invalid_arguments:
      return "invalid arguments";
    case dnnl_unimplemented:
      return "not implemented";
    case dnnl_last_impl_reached:
      return "no further implementation";
    default:
      return "failure";
  }
}

}  // namespace

void check(dnnl_status_t status, const char* what) {
  if (status != dnnl_success)
    fail(ErrorCode::EngineError, std::string("oneDNN could not ") + what + ": " + status_name(status));
}

const dnnl::engine& engine() {
  static const dnnl::engine instance = [] {
    check(dnnl_set_primitive_cache_capacity(kPrimitiveCacheCapacity), "limit its primitive cache");
    dnnl_engine_t made = nullptr;
    check(dnnl_engine_create(&made, dnnl_cpu, 0), "create its CPU engine");
    return dnnl::engine(made);
  }();
  return instance;
}

Concurrency::Concurrency(int threads) {
  check(dnnl_threadpool_interop_get_max_concurrency(&before_), "tell its concurrency");
  check(dnnl_threadpool_interop_set_max_concurrency(threads), "set its concurrency");
}

Concurrency::~Concurrency() { dnnl_threadpool_interop_set_max_concurrency(before_); }

void execute(const_dnnl_primitive_t primitive, const dnnl_exec_arg_t* args, int count, int threads,
             const Parallel& parallel) {
  thread_local ThreadStream current;
  current.adapter.begin(parallel, threads);
  const dnnl_status_t status = dnnl_primitive_execute(primitive, current.stream, count, args);
  current.adapter.rethrow();
  check(status, "run a primitive");
}

dnnl::memory::desc describe(const dnnl::memory::dims& dims, Layout layout) {
  using Tag = dnnl::memory::format_tag;
  static constexpr Tag kTags[4][3] = {{Tag::ncw, Tag::nchw, Tag::ncdhw},
                                      {Tag::nwc, Tag::nhwc, Tag::ndhwc},
                                      {Tag::nCw8c, Tag::nChw8c, Tag::nCdhw8c},
                                      {Tag::nCw16c, Tag::nChw16c, Tag::nCdhw16c}};
  return {dims, dnnl::memory::data_type::f32, kTags[static_cast<int>(layout)][dims.size() - 3]};
}

std::string format_name(const dnnl::memory::desc& desc) {
  std::string text = "onednn:";
  const auto add = [&text](char tag, const std::vector<int64_t>& values) {
    text += tag;
    for (const int64_t value : values) text += std::to_string(value) + ',';
  };
  if (desc.get_format_kind() == dnnl::memory::format_kind::blocked) {
    // The bytes of a description are no name: those that a format does not use differ from one process to the next.
    add('t', {static_cast<int64_t>(desc.get_data_type()), static_cast<int64_t>(desc.get_size())});
    add('d', desc.get_dims());
    add('p', desc.get_padded_dims());
    add('s', desc.get_strides());
    add('b', desc.get_inner_blks());
    add('i', desc.get_inner_idxs());
    return text;
  }
  size_t bytes = 0;
  check(dnnl_memory_desc_get_blob(nullptr, &bytes, desc.get()), "describe packed weights");
  std::vector<uint8_t> blob(bytes);
  check(dnnl_memory_desc_get_blob(blob.data(), &bytes, desc.get()), "describe packed weights");
  for (const uint8_t byte : blob) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Arguments::~Arguments() {
  for (int i = 0; i < size_; ++i) dnnl_memory_destroy(args_[i].memory);
}

void Arguments::add(int arg, const dnnl::memory::desc& desc) {
  dnnl_memory_t memory = nullptr;
  check(dnnl_memory_create(&memory, desc.get(), engine().get(), DNNL_MEMORY_NONE), "create a memory object");
  args_[size_++] = {arg, memory};
}

void Arguments::set(int index, const void* data) {
  check(dnnl_memory_set_data_handle(args_[index].memory, const_cast<void*>(data)), "set an address");
}

}  // namespace fastort::kernels::onednn
