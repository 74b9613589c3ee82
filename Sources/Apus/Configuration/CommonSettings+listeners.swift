import ApusCore
import ApusServer

extension CommonSettings {
    /// Returns the listeners: a TCP port, with TLS if a certificate is configured, and a unix socket if its path is.
    static func listeners(_ settings: Settings) -> [Listener] {
        let address = Listener.Address.tcp(
            host: settings.string("http.host", default: "127.0.0.1"),
            port: settings.int("http.port", default: 8080, in: 0...65535))
        let proxies = settings.networks("http.proxies")
        var listeners = [Listener(address, tls: tls(settings), proxies: proxies)]
        if let path = settings.string("http.unix-socket") { listeners.append(Listener(.unix(path: path))) }
        return listeners
    }

    private enum ClientCertificates: String, CaseIterable {
        case none, optional, required
    }

    private static func tls(_ settings: Settings) -> TLS? {
        let (certificate, key) = (settings.string("tls.certificate"), settings.string("tls.key"))
        let authorities = settings.string("tls.client-authorities")
        let demanded = settings.choice(
            "tls.client-certificates", default: authorities == nil ? ClientCertificates.none : .required)
        if demanded != .none, authorities == nil {
            settings.reportProblem(
                "tls.client-authorities is required: the PEM file with the authorities that sign client certificates.")
        }
        guard let certificate, let key else {
            if certificate != nil || key != nil || authorities != nil {
                settings.reportProblem("tls.certificate and tls.key are required together: the paths of PEM files.")
            }
            return nil
        }
        var tls = TLS(.files(certificate: certificate, key: key))
        switch (demanded, authorities) {
        case (.optional, let authorities?): tls.clientCertificates = .optional(authorities: authorities)
        case (.required, let authorities?): tls.clientCertificates = .required(authorities: authorities)
        case (.none, _), (_, nil): break
        }
        return tls
    }
}

extension Settings {
    /// Reads a list of networks in CIDR notation.
    func networks(_ key: String) -> [IPNetwork] {
        list(key).compactMap { text in
            do {
                return try IPNetwork(text)
            } catch {
                reportProblem("\(key): \(AppError(wrapping: error).message)")
                return nil
            }
        }
    }
}
