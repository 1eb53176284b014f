#include "kernels/text/regex.h"

#include <re2/re2.h>

#include "base/error.h"

namespace fastort::kernels {
namespace {

re2::RE2::Options quiet() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  return options;
}

}  // namespace

struct Regex::Impl {
  explicit Impl(const std::string& pattern) : regex(pattern, quiet()) {}
  const re2::RE2 regex;
};

Regex::Regex(const std::string& pattern) : impl_(std::make_unique<const Impl>(pattern)) {
  if (!impl_->regex.ok())
    invalid_graph("'" + pattern + "' is no regular expression of RE2's syntax: " + impl_->regex.error());
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool Regex::matches(std::string_view text) const {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), impl_->regex);
}

}  // namespace fastort::kernels
