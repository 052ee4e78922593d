#pragma once

#include <string>
#include <string_view>

namespace kiseki::object::s3 {

/// Walks over the elements of an XML text, as far as S3's answers need it: no attributes, no namespaces, no DTD.
/// Never fails: what is no XML ends the walk.
class XmlWalk {
 public:
  explicit XmlWalk(std::string_view text) : rest_(text) {}
  enum class Step { open, close, end };
  /// To the next tag. After `close`, `text()` is what stood directly before it.
  Step next();
  std::string_view name() const { return name_; }
  std::string text() const;  ///< entities resolved

 private:
  std::string_view rest_, name_, before_;
  bool empty_element_ = false;  // <name/>: its close is still owed
};

/// Text of the first element of that name; empty when there is none.
std::string xml_text(std::string_view xml, std::string_view name);
/// Escapes for text content.
std::string xml_escaped(std::string_view text);

}  // namespace kiseki::object::s3
