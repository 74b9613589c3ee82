/// Middleware that takes what it was not given from the app, such as where requests are counted.
package protocol AppConfigured: Middleware {
    /// Returns the middleware as the routes of an app use it. The app's values are attached to the routes.
    func configured(for routes: Routes) -> any Middleware
}

extension Routes {
    /// Returns middleware with what it takes from the app.
    package func configured(_ middlewares: [any Middleware]) -> [any Middleware] {
        middlewares.map { ($0 as? any AppConfigured)?.configured(for: self) ?? $0 }
    }
}
