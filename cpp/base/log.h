#pragma once

#include <functional>
#include <string_view>

namespace fastort {

// The values are ONNX Runtime's logging levels.
enum class Severity { Verbose = 0, Info = 1, Warning = 2, Error = 3, Fatal = 4 };

// Receives what the engine has to say; may be called from any thread, several at once.
using LogSink = std::function<void(Severity, std::string_view)>;

// The library itself never prints: without a sink (an empty function) messages are dropped.
void set_log_sink(LogSink sink);

// False where nobody listens, so that the caller need not build the text.
bool has_log_sink() noexcept;

// An exception of the sink is dropped.
void log(Severity severity, std::string_view text) noexcept;

}  // namespace fastort
