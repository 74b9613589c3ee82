import ApusCore
import HTTPTypes

/// A cookie set by a response (RFC 6265, with `SameSite` of its successor). By default it is `HttpOnly`, `Secure` and
/// `SameSite=Lax`.
///
/// ```swift
/// response.set(SetCookie("theme", "dark", maxAge: .seconds(365 * 86400)))
/// response.set(.removal(of: "theme"))
/// ```
public struct SetCookie: Sendable, Equatable {
    /// When browsers send the cookie with requests initiated by other sites.
    public enum SameSite: String, Sendable {
        /// Never.
        case strict = "Strict"
        /// When the user follows a link.
        case lax = "Lax"
        /// Always.
        case none = "None"
    }

    public var name: String
    public var value: String
    /// How long the browser stores the cookie; `nil` for a session cookie, which is deleted when the browser is closed.
    public var maxAge: Duration?
    public var path: String
    /// The domain, which includes its subdomains; `nil` for this host only.
    public var domain: String?
    public var isSecure: Bool
    /// Whether the cookie is inaccessible to scripts.
    public var isHTTPOnly: Bool
    public var sameSite: SameSite

    /// Creates a cookie.
    /// - Parameters:
    ///   - name: A token (RFC 9110 §5.6.2). Browsers bind a cookie whose name begins with `__Host-` to this host.
    ///   - value: Printable ASCII without spaces, quotes, commas, semicolons and backslashes.
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

    /// Returns a cookie that removes the cookie with the given name. The path and the domain must be those with which the
    /// cookie was set.
    ///
    /// The removal is `Secure` only if the name requires it (`__Host-`, `__Secure-`): browsers ignore secure cookies over
    /// plain HTTP, and over TLS a cookie of either kind replaces the existing one.
    public static func removal(of name: String, path: String = "/", domain: String? = nil) -> SetCookie {
        let isSecure = ["__host-", "__secure-"].contains { name.asciiLowercased.starts(withBytesOf: $0) }
        return SetCookie(name, "", maxAge: .zero, path: path, domain: domain, isSecure: isSecure)
    }

    /// Returns whether a text is a valid cookie value.
    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"\",;\\".utf8.contains($0) }
    }

    /// Returns the value of the `Set-Cookie` field.
    /// - Throws: An `AppError` with code `internal` if the name, the value, the path or the domain has invalid characters.
    func encoded() throws -> String {
        let attributes = path + (domain ?? "")
        let areAttributesValid = attributes.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ";") }
        guard FieldParameters.isToken(name), Self.isValue(value), areAttributesValid else {
            throw AppError(.internal, "The cookie \(name.prefix(64)) has characters that are not allowed in a cookie.")
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
    /// Prevents shared caches (RFC 9111) from storing the response, because it is meant for one client only.
    mutating func forbidSharedCaching() {
        guard let field = headers[.cacheControl] else {
            headers[.cacheControl] = "no-store"
            return
        }
        let directives = FieldList.elements(field)
        func name(_ directive: Substring) -> String {
            (directive.cut(at: "=")?.before ?? directive).trimmed.asciiLowercased
        }
        guard !directives.contains(where: { name($0) == "no-store" || $0.asciiLowercased == "private" }) else { return }
        let retained = directives.filter { !["public", "private", "s-maxage", "proxy-revalidate"].contains(name($0)) }
        headers[.cacheControl] = (["private"] + retained.map(String.init)).joined(separator: ", ")
    }

    /// Sets a cookie.
    /// - Throws: An `AppError` with code `internal` if the cookie has invalid characters.
    public mutating func set(_ cookie: SetCookie) throws {
        headers.append(HTTPField(name: .setCookie, value: try cookie.encoded()))
    }
}
