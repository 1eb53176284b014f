#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace fastort {

// The codes, and so the Python exception classes, are ONNX Runtime's.
enum class ErrorCode {
  Fail = 1,
  InvalidArgument = 2,
  NoSuchFile = 3,
  NoModel = 4,
  EngineError = 5,
  RuntimeException = 6,
  InvalidProtobuf = 7,
  ModelLoaded = 8,
  NotImplemented = 9,
  InvalidGraph = 10,
  EPFail = 11,
  Cancelled = 12,
};

// The one exception type that leaves the engine. `what()` names the node, the tensors and the remedy.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string message) : std::runtime_error(std::move(message)), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

[[noreturn]] inline void fail(ErrorCode code, std::string message) { throw Error(code, std::move(message)); }
[[noreturn]] inline void invalid_graph(std::string message) { fail(ErrorCode::InvalidGraph, std::move(message)); }
[[noreturn]] inline void invalid_argument(std::string message) { fail(ErrorCode::InvalidArgument, std::move(message)); }
[[noreturn]] inline void not_implemented(std::string message) { fail(ErrorCode::NotImplemented, std::move(message)); }

}  // namespace fastort
