import ApusHTTP

/// What a request demands of the form of its response.
struct HTTP1ResponseForm {
    /// Whether the method is HEAD, so that the response has no body.
    var isHead = false
    /// Whether the client speaks HTTP/1.0, which has no chunked coding.
    var isVersion10 = false

    func hasBody(_ response: Response) -> Bool { !isHead && !response.hasNoBodyByStatus }
}
