import ApusCore
import HTTPTypes

/// A cookie that a response sets (RFC 6265, and `SameSite` of its successor). Out of the reach of scripts, over TLS alone,
/// and not sent along with what other sites begin, unless it is said otherwise.
///
/// ```swift
/// response.set(SetCookie("theme", "dark", maxAge: .seconds(365 * 86400)))
/// response.set(.removal(of: "theme"))
/// ```
public struct SetCookie: Sendable, Equatable {
    /// When a browser sends it along with requests that another site began.
    public enum SameSite: String, Sendable {
        /// Never.
        case strict = "Strict"
        /// When a link is followed.
        case lax = "Lax"
        /// Always.
        case none = "None"
    }

    public var name: String
    public var value: String
    /// How long a browser keeps it; `nil` until it is closed.
    public var maxAge: Duration?
    public var path: String
    /// The host and those below it; `nil` for this host alone.
    public var domain: String?
    public var isSecure: Bool
    /// Whether scripts cannot read it.
    public var isHTTPOnly: Bool
    public var sameSite: SameSite

    /// - Parameters:
    ///   - name: A token of RFC 9110. One that begins with `__Host-` is bound to this host by browsers.
    ///   - value: Printable ASCII without blanks, quotes, commas, semicolons and backslashes.
    public init(
        _ name: String, _ value: String, maxAge: Duration? = nil, path: String = "/", domain: String? = nil,
        isSecure: Bool = true, isHTTPOnly: Bool = true, sameSite: SameSite = .lax
    ) {
        self.name = name
        self.value = value
        self.maxAge = maxAge
        self.path = path
        self.domain = domain
        self.isSecure = isSecure
        self.isHTTPOnly = isHTTPOnly
        self.sameSite = sameSite
    }

    /// The removal of a cookie. Path and domain must be those with which it was set.
    ///
    /// It is `Secure` only where the cookie's name demands that (`__Host-`, `__Secure-`): browsers ignore a secure one over plain
    /// HTTP, and let either kind replace the cookie over TLS.
    public static func removal(of name: String, path: String = "/", domain: String? = nil) -> SetCookie {
        let isSecure = ["__host-", "__secure-"].contains { name.asciiLowercased.hasPrefix($0) }
        return SetCookie(name, "", maxAge: .zero, path: path, domain: domain, isSecure: isSecure)
    }

    /// Whether a cookie may have this text as its value.
    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"\",;\\".utf8.contains($0) }
    }

    /// - Throws: An `AppError` of code `internal` for what would not be one cookie.
    func encoded() throws -> String {
        let rest = path + (domain ?? "")
        let isRest = rest.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ";") }
        guard FieldParameters.isToken(name), Self.isValue(value), isRest else {
            throw AppError(.internal, "The cookie \(name.prefix(64)) has characters that no cookie may have.")
        }
        var text = "\(name)=\(value); Path=\(path)"
        if let domain { text += "; Domain=\(domain)" }
        if let maxAge { text += "; Max-Age=\(Int(maxAge.seconds))" }
        if isSecure { text += "; Secure" }
        if isHTTPOnly { text += "; HttpOnly" }
        return text + "; SameSite=\(sameSite.rawValue)"
    }
}

extension Response {
    /// Keeps shared caches (RFC 9111) from storing the response: it has something for one client alone.
    mutating func forbidSharedCaching() {
        guard let field = headers[.cacheControl] else {
            headers[.cacheControl] = "no-store"
            return
        }
        let directives = field.split(at: ",").map(\.trimmed)
        func isNamed(_ directive: Substring, _ names: String...) -> Bool {
            names.contains((directive.cut(at: "=")?.before ?? directive).trimmed.asciiLowercased)
        }
        guard !directives.contains(where: { isNamed($0, "no-store") || $0.asciiLowercased == "private" }) else {
            return
        }
        let kept = directives.filter { !isNamed($0, "public", "private", "s-maxage", "proxy-revalidate") }
        headers[.cacheControl] = (["private"] + kept.map(String.init)).joined(separator: ", ")
    }

    /// Sets a cookie.
    /// - Throws: An `AppError` of code `internal` for a cookie with characters that none may have.
    public mutating func set(_ cookie: SetCookie) throws {
        headers.append(HTTPField(name: .setCookie, value: try cookie.encoded()))
    }
}
